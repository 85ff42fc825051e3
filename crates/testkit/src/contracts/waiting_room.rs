//! The contract of [`WaitingRoom`](boxoffice_domain::waiting_room::WaitingRoom).
