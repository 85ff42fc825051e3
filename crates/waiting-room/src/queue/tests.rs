use boxoffice_domain::fixtures::instant;
use uuid::Uuid;

use crate::{queue_order, settings::Settings};

use super::*;

const RESTORABLE_SECONDS: u32 = 86_400;

fn settings() -> Settings {
    Settings {
        capacity: 10,
        queues_max: 1,
        admission_seconds: 600,
        no_show_seconds: 60,
        idle_admission_seconds: 0,
        joins_per_network_max: 0,
        reform_seconds: 0,
        poll_seconds_max: 20,
        restorable_seconds: RESTORABLE_SECONDS,
    }
}

/// A queue that one account has joined.
fn queue_with(draw: Option<u64>, terms: QueueTerms) -> (Queue, QueuePlace) {
    let rules = Rules::new(settings(), instant(0));
    let concert_id = ConcertId::new(Uuid::from_u128(1));
    let mut queue = Queue::new(Arc::new(rules), concert_id, instant(0));
    queue.advance(instant(0));
    let draw = draw.map(DrawNumber::from_random);
    let request =
        JoinRequest { concert_id, account_id: AccountId::new(Uuid::from_u128(2)), terms, draw, network: None };
    let joined = queue.join(&request, instant(0)).expect("there is room");
    (queue, joined.status.place)
}

#[test]
fn only_a_place_that_is_sorted_by_a_number_drawn_is_kept_among_the_drawn() {
    let terms = QueueTerms { version: 1, opens_at: Some(instant(100)), ..NO_TERMS };
    let (queue, place) = queue_with(Some(7), terms);
    assert_eq!(queue.drawn, BTreeSet::from([(place.number, place.account_id)]));
    let (queue, _) = queue_with(None, terms);
    assert!(queue.drawn.is_empty());
}

#[test]
fn what_has_ended_is_remembered_only_while_places_are_restored() {
    let terms = QueueTerms { version: 1, max_active: 1, ..NO_TERMS };
    let (mut queue, place) = queue_with(None, terms);
    queue.leave(&place, instant(0));
    assert_eq!(queue.ended, BTreeMap::from([(place.account_id, place.number)]));
    let (mut queue, place) = queue_with(None, terms);
    queue.empty();
    queue.leave(&place, instant(0));
    assert!(queue.ended.is_empty(), "an emptied queue restores nothing");
    let (mut queue, place) = queue_with(None, terms);
    queue.leave(&place, instant(i64::from(RESTORABLE_SECONDS)));
    assert!(queue.ended.is_empty(), "every earlier place is too old");
}

#[test]
fn the_end_of_its_sale_is_what_happens_next_to_a_queue_of_any() {
    let sale = |ends_at| SaleReading { ends: Some((ends_at, SaleEnd::Closed)), ..SaleReading::NONE };
    let terms = |max_active| QueueTerms { version: 1, max_active, sale: sale(instant(30)), ..NO_TERMS };
    let (mut admitted, place) = queue_with(None, terms(1));
    assert_eq!(admitted.next_due(), Some(instant(30)), "before it is absent for too long");
    let (waiting, _) = queue_with(None, terms(0));
    assert_eq!(waiting.next_due(), Some(instant(30)));
    admitted.keep_until(place.account_id, Some(instant(300)), instant(20));
    admitted.advance(instant(30));
    assert_eq!(admitted.next_due(), Some(instant(300)), "it has ended, but for those that hold seats");

    let (mut left, place) = queue_with(None, terms(1));
    left.leave(&place, instant(0));
    assert_eq!(left.next_due(), None);
}

#[test]
fn a_waiting_entry_takes_less_than_300_bytes() {
    // A vector that has just doubled is half empty.
    let order = 2 * queue_order::bytes_per_entry::<AccountId>();
    // The standard library's B-tree keeps at least 5 entries in a node with room for 11; a node has 12
    // edges besides its entries when it is not a leaf, which at most one in 6 is, and 16 bytes besides.
    let in_tree = |entry: usize| {
        let node = 11 * entry + 16;
        (node + node / 6 + 12 * size_of::<usize>() / 6) / 5
    };
    let waiting = in_tree(size_of::<(AccountId, Waiting)>());
    let drawn = in_tree(size_of::<(PlaceNumber, AccountId)>());
    assert!(order + waiting + drawn < 300, "{order} + {waiting} + {drawn} bytes");
}
