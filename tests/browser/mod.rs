//! Tests of the pages in a real browser: the real binary over `SQLite`, and Chromium, driven over `WebDriver`.
//!
//! Every test ends with the same questions: did a page break its Content Security Policy, did a request leave the shop,
//! did a script fail, and is the database sound? Wherever a view or a state is reached, `look` asks axe whether everybody
//! can use it.

mod budget;
mod checkout;
mod emails;
mod hostile;
mod line;
mod once;
mod organiser;
mod outages;
mod page;
mod process;
mod purchase;
mod screenshots;
mod session;
mod sessions;
mod waiting;
mod watch;
mod words;
