//! Thousands of buyers, signed in with the server's own key: ten thousand passwords take minutes to hash.

use boxoffice_rush::TokenSigner;

use super::{Numbers, client::Buyer, now, server::Server};

/// An account with a valid access token. An account that only joins a queue need not have signed up.
#[derive(Clone)]
pub(crate) struct Stranger {
    pub(crate) account_id: String,
    pub(crate) buyer: Buyer,
}

/// So many of them, the same at every run.
pub(crate) fn strangers(server: &Server, count: usize) -> Vec<Stranger> {
    let signer = TokenSigner::of_server(&server.folder().join("data"), now().timestamp()).expect("the server's keys");
    let mut numbers = Numbers::new(10_000);
    let stranger = |_| {
        let account_id = uuid(&mut numbers);
        let token = signer.sign(account_id.parse().expect("an id"));
        let buyer = Buyer {
            api: server.api().clone(),
            login_id: account_id.clone(),
            refresh_token: String::new(),
            asks: boxoffice_rush::Buyer::new(token),
        };
        Stranger { account_id, buyer }
    };
    (0..count).map(stranger).collect()
}

const HEXADECIMAL: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

fn uuid(numbers: &mut Numbers) -> String {
    let mut digits = |count: u32| -> String { (0..count).map(|_| HEXADECIMAL[numbers.below(16)]).collect() };
    [8, 4, 4, 4, 12].map(&mut digits).join("-")
}
