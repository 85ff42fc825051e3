//! The requests of a buyer, and the responses as far as clients read them.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::Request;

/// An account that is signed in, and may be in the queue of a concert. Each method makes a request of this account.
#[derive(Clone, Debug, Default)]
pub struct Buyer {
    pub access_token: String,
    /// Empty before joining a queue.
    pub queue_token: String,
}

pub fn sign_up(login_id: &str, password: &str, name: &str) -> Request {
    Request::post("/v1/accounts", &json!({"login_id": login_id, "password": password, "name": name}))
}

/// Begins a session, which a [`Session`] describes.
pub fn sign_in(login_id: &str, password: &str) -> Request {
    Request::post("/v1/sessions", &json!({"login_id": login_id, "password": password}))
}

impl Buyer {
    /// A buyer that is in no queue.
    pub fn new(access_token: impl Into<String>) -> Self {
        Self { access_token: access_token.into(), queue_token: String::new() }
    }

    pub fn request(&self, method: impl Into<String>, path: impl Into<String>) -> Request {
        let request = Request::new(method, path).bearer(&self.access_token);
        if self.queue_token.is_empty() { request } else { request.queue_token(&self.queue_token) }
    }

    pub fn get(&self, path: impl Into<String>) -> Request {
        self.request("GET", path)
    }

    /// Joins the queue of a concert. The [`QueueStatus`] has the token.
    pub fn join(&self, concert_id: impl Display) -> Request {
        self.request("POST", format!("/v1/concerts/{concert_id}/queue")).without("queue-token")
    }

    /// Asks for the [`QueueStatus`].
    pub fn poll(&self) -> Request {
        self.get("/v1/queue")
    }

    /// Leaves the queue, or ends the admission.
    pub fn leave(&self) -> Request {
        self.request("DELETE", "/v1/queue")
    }

    /// Asks for the first page of the performances of a concert.
    pub fn performances(&self, concert_id: impl Display) -> Request {
        self.get(format!("/v1/concerts/{concert_id}/performances?limit=100"))
    }

    /// Asks for the seats of a performance.
    pub fn seats(&self, performance_id: impl Display) -> Request {
        self.get(format!("/v1/performances/{performance_id}/seats"))
    }

    /// Holds seats. The response is a [`Reservation`].
    pub fn hold(&self, performance_id: impl Display, seats: &[impl AsRef<str>]) -> Request {
        let seats: Vec<_> = seats.iter().map(AsRef::as_ref).collect();
        let body = json!({"performance_id": performance_id.to_string(), "seats": seats});
        self.request("POST", "/v1/reservations").json(&body)
    }

    /// Pays a reservation. The request needs a key; the response is a [`Payment`].
    pub fn pay(&self, reservation_id: impl Display) -> Request {
        self.request("POST", "/v1/payments").json(&json!({"reservation_id": reservation_id.to_string()}))
    }

    pub fn cancel(&self, reservation_id: impl Display) -> Request {
        self.request("POST", format!("/v1/reservations/{reservation_id}/cancel"))
    }

    /// Tops the wallet up. The request needs a key.
    pub fn charge(&self, amount: impl Into<i64>) -> Request {
        self.request("POST", "/v1/wallet/charges").json(&json!({"amount": amount.into()}))
    }

    /// Asks for the [`Wallet`].
    pub fn wallet(&self) -> Request {
        self.get("/v1/wallet")
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Identified {
    pub id: Uuid,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Session {
    pub access_token: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wallet {
    /// Points.
    pub balance: u64,
}

/// A place in the queue of a concert.
#[derive(Debug, Deserialize)]
pub struct QueueStatus {
    pub token: String,
    pub status: QueueState,
    pub poll_after_seconds: Option<u64>,
    /// `None` before a draw.
    #[serde(default)]
    pub position: Option<u64>,
    /// Why the account waits or its token has expired, if that is due to the sale.
    pub reason: Option<String>,
}

/// The state of the queue of a concert, for its promoter.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct QueueStats {
    pub waiting: u64,
    pub active: u64,
    pub max_active: u64,
    pub paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    Waiting,
    Active,
    Expired,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Concert {
    pub id: Uuid,
    pub title: String,
    pub max_seats_per_account: u64,
    /// In RFC 3339.
    #[serde(default)]
    pub sales_open_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Performance {
    pub id: Uuid,
    pub seats_total: u64,
    pub seats_available: u64,
    /// Points.
    pub price_max: u64,
}

/// The seats of a performance in the order of the hall, each as far as the client reads it.
#[derive(Debug, Deserialize)]
pub struct SeatMap<S = Seat> {
    pub seats: Vec<S>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Seat {
    pub label: String,
    pub section: String,
    pub row: String,
    pub number: u32,
    /// Points.
    pub price: u64,
    pub status: SeatStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatStatus {
    Available,
    Held,
    Sold,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Reservation {
    pub id: Uuid,
    pub status: String,
    /// Points.
    pub total_amount: u64,
    pub performance: Identified,
    pub seats: Vec<ReservedSeat>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct ReservedSeat {
    pub label: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Payment {
    pub reservation_id: Uuid,
    /// Points.
    pub amount: u64,
    pub reservation: Reservation,
}
