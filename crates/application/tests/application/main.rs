//! Every use case over a storage and a waiting room in memory, see [`support`]. What one of them refuses or decides by its
//! own rules is tested by the domain and by the contracts of the ports.

mod accounts;
mod catalog;
mod demo_accounts;
mod emails;
mod gate;
mod gateway;
mod guessing;
mod mail;
mod payments;
mod queue_control;
mod relay;
mod reservations;
mod sales;
mod second_factor;
mod sessions;
mod support;
mod waiting_room;
mod wallet;
mod webhooks;
