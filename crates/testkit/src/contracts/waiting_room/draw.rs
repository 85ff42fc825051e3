//! The draw before a line opens.

use boxoffice_domain::waiting_room::QueueStatus;

use super::{AccountId, Dice, DrawNumber, LineTerms, Scene, Stage, Standing, Terms, Ticket, account, instant};

/// When the lines of these tests open.
const OPENS_AFTER_SECONDS: i64 = 100;

/// A scene whose line opens later.
async fn before_the_draw(stage: impl AsyncFn(Terms) -> Stage, max_active: u32) -> Scene {
    let mut scene = Scene::new(stage, max_active).await;
    scene.terms.opens_at = Some(instant(OPENS_AFTER_SECONDS));
    scene
}

fn number(number: u64) -> DrawNumber {
    DrawNumber::from_random(number)
}

impl Scene {
    async fn join_drawn(&self, draw: u64) -> Ticket {
        self.try_join_with(account(), Some(number(draw))).await.expect("joins").status.ticket
    }

    async fn join_all_drawn(&self, draws: &[u64]) -> Vec<Ticket> {
        let mut tickets = Vec::with_capacity(draws.len());
        for draw in draws {
            tickets.push(self.join_drawn(*draw).await);
        }
        tickets
    }

    fn open(&self) {
        self.stage.clock.set(instant(OPENS_AFTER_SECONDS));
    }

    /// Asserts that a ticket waits and is told no order; gives when to ask again.
    async fn assert_undrawn(&self, ticket: &Ticket) -> u32 {
        match self.standing(ticket).await {
            Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds } => {
                poll_after_seconds
            }
            other => panic!("{other:?} instead of waiting without an order"),
        }
    }
}

/// Before a line opens nobody is admitted and nobody is told a position, however many there is room for; people are
/// told to ask again when it opens, and may leave.
pub async fn before_the_draw_nobody_has_an_order(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = before_the_draw(stage, 100).await;
    let account_id = account();
    let joined = scene.try_join_with(account_id, Some(number(7))).await.expect("joins");
    assert!(joined.newly);
    assert!(matches!(joined.status.standing, Standing::Waiting { position: None, .. }), "{joined:?}");
    let ticket = joined.status.ticket;
    let again = scene.try_join_with(account_id, Some(number(7))).await.expect("tells");
    assert!(!again.newly && again.status.ticket == ticket);
    let others = scene.join_all_drawn(&[1, 9, 4]).await;

    for (seconds, asks_after_seconds) in [(0, 20), (80, 20), (81, 19), (90, 10), (99, 1)] {
        scene.stage.clock.set(instant(seconds));
        assert_eq!(scene.tidy().await, Some(instant(OPENS_AFTER_SECONDS)));
        assert_eq!(scene.assert_undrawn(&ticket).await, asks_after_seconds, "after {seconds} s");
    }
    scene.stage.clock.set(instant(OPENS_AFTER_SECONDS) - chrono::TimeDelta::microseconds(1));
    assert_eq!(scene.assert_undrawn(&others[0]).await, 1);
    assert_eq!(scene.census().await, (4, 0, 0));
    scene.leave(&others[1]).await;
    assert!(scene.is_expired(&others[1]).await);
    assert_eq!(scene.census().await, (3, 0, 0));
    for other in [&others[0], &others[2]] {
        scene.leave(other).await;
    }
    scene.leave(&ticket).await;
    assert_eq!(scene.tidy().await, None, "nobody waits for the opening");
}

/// When the line opens, the order is that of the numbers, whoever asks first; and those who watch are woken by
/// tidying.
pub async fn the_order_is_that_of_the_numbers(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = before_the_draw(stage, 2).await;
    let last = DrawNumber::END - 1;
    let draws = [500, 3, last, 40, 0, 77, 1 << 49, 41];
    let mut tickets = scene.join_all_drawn(&draws).await;
    let seen = scene.version().await;
    scene.open();
    let order: Vec<u64> = by_number(&mut tickets, &draws);
    assert!(order.is_sorted());
    assert!(scene.is_active(&tickets[1]).await, "the second one asks first, and is admitted already");
    scene.assert_order(&tickets, 0, 2).await;
    scene.assert_changed(seen).await;
    scene.spend(&tickets[0]).await;
    scene.leave(&tickets[2]).await;
    tickets.remove(2);
    scene.assert_order(&tickets, 1, 2).await;

    let other = scene.another_concert();
    let other = Scene { terms: LineTerms { opens_at: Some(instant(200)), ..other.terms }, ..other };
    let unaware = other.join_all_drawn(&[2, 1, 0]).await;
    let seen = other.version().await;
    other.stage.clock.set(instant(200));
    other.tidy().await;
    other.assert_changed(seen).await;
    assert_eq!(other.census().await, (1, 2, 2), "nobody had asked");
    assert_eq!(other.position(&unaware[0]).await, 1);
}

/// Sorts tickets by the number drawn by each; gives the numbers in that order.
fn by_number(tickets: &mut Vec<Ticket>, draws: &[u64]) -> Vec<u64> {
    let mut drawn: Vec<(u64, Ticket)> = draws.iter().copied().zip(tickets.iter().copied()).collect();
    drawn.sort_by_key(|(draw, _)| *draw);
    *tickets = drawn.iter().map(|(_, ticket)| *ticket).collect();
    drawn.into_iter().map(|(draw, _)| draw).collect()
}

/// Whoever joins as the line opens, or later, stands behind all who took part in the draw, in the order of joining,
/// even with the lowest number.
pub async fn later_comers_stand_behind_the_draw(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = before_the_draw(stage, 1).await;
    let mut tickets = scene.join_all_drawn(&[DrawNumber::END - 1, 8]).await;
    tickets.reverse();
    scene.open();
    tickets.push(scene.join_drawn(5).await);
    tickets.push(scene.join_drawn(0).await);
    tickets.push(scene.join(account()).await.status.ticket);
    scene.advance(10);
    tickets.push(scene.join_drawn(1).await);
    scene.assert_order(&tickets, 0, 1).await;
    scene.spend(&tickets[0]).await;
    scene.spend(&tickets[1]).await;
    scene.assert_order(&tickets, 2, 1).await;
}

/// Accounts with the same number stand in the order of their ids.
pub async fn equal_numbers_stand_by_account(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = before_the_draw(stage, 2).await;
    let mut accounts: Vec<AccountId> = (0..12).map(|_| account()).collect();
    accounts.sort_unstable();
    let mut tickets: Vec<Option<Ticket>> = vec![None; accounts.len()];
    for index in [5, 0, 11, 3, 7, 1, 10, 2, 9, 4, 8, 6] {
        let joined = scene.try_join_with(accounts[index], Some(number(6))).await.expect("joins");
        tickets[index] = Some(joined.status.ticket);
    }
    let mut tickets: Vec<Ticket> = tickets.into_iter().flatten().collect();
    let first = scene.join_drawn(5).await;
    scene.open();
    tickets.insert(0, first);
    scene.assert_order(&tickets, 0, 2).await;
    scene.leave(&tickets[6]).await;
    tickets.remove(6);
    scene.leave(&tickets[0]).await;
    scene.assert_order(&tickets, 1, 2).await;
}

/// Leaving and joining again before the draw gives another ticket with the same number: nothing is gained or lost.
pub async fn leaving_and_joining_again_before_the_draw_gains_nothing(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = before_the_draw(stage, 1).await;
    let account_id = account();
    let join = async || -> QueueStatus {
        let joined = scene.try_join_with(account_id, Some(number(20))).await.expect("joins");
        assert!(joined.newly);
        joined.status
    };
    let mut former = join().await.ticket;
    let others = scene.join_all_drawn(&[10, 30]).await;
    for _ in 0..5 {
        scene.leave(&former).await;
        let anew = join().await.ticket;
        assert!(anew.place > former.place);
        assert!(scene.is_expired(&former).await);
        former = anew;
    }
    scene.open();
    scene.assert_order(&[others[0], former, others[1]], 0, 1).await;
}

/// A number is nothing in a line without a draw.
pub async fn numbers_do_not_count_without_a_draw(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let tickets = scene.join_all_drawn(&[3, 2, 1, 0]).await;
    scene.assert_order(&tickets, 0, 1).await;
}

/// An opening that is put off or brought forward is the one that counts, also against terms that were read before.
pub async fn an_opening_can_be_moved(stage: impl AsyncFn(Terms) -> Stage) {
    let mut scene = before_the_draw(stage, 1).await;
    let stale = scene.terms;
    let mut tickets = scene.join_all_drawn(&[9, 5, 1]).await;
    scene.set_terms(|terms| terms.opens_at = Some(instant(300))).await;
    scene.open();
    scene.assert_undrawn(&tickets[0]).await;
    assert_eq!(scene.tidy().await, Some(instant(300)));
    let uninformed = Scene { terms: stale, ..scene.clone() };
    tickets.push(uninformed.join_drawn(0).await);
    scene.assert_undrawn(&tickets[3]).await;
    scene.set_terms(|terms| terms.opens_at = Some(instant(200))).await;
    scene.stage.clock.set(instant(200));
    let uninformed = Scene { terms: LineTerms { version: 1, opens_at: Some(instant(300)), ..stale }, ..scene.clone() };
    let late = uninformed.join_drawn(0).await;
    tickets.reverse();
    tickets.push(late);
    scene.assert_order(&tickets, 0, 1).await;
}

/// Whether they came before the draw or after it, all are served, one after the other, in the order drawn.
pub async fn ten_thousand_are_served_in_the_order_drawn(stage: impl AsyncFn(Terms) -> Stage) {
    const PEOPLE: usize = 10_000;
    const ACTIVE: usize = 50;
    let scene = before_the_draw(stage, 50).await;
    let mut dice = Dice(7);
    let draws: Vec<u64> = (0..PEOPLE).map(|_| (dice.roll(1 << 25) as u64) << 25 | dice.roll(1 << 25) as u64).collect();
    let mut tickets = scene.join_all_drawn(&draws).await;
    assert!(by_number(&mut tickets, &draws).is_sorted());
    scene.open();
    tickets.extend(scene.join_many(10).await);
    for (index, ticket) in tickets.iter().enumerate() {
        if index % 97 == 0
            && let Some(waiting) = tickets.get(index + ACTIVE + index % 50)
        {
            assert_eq!(scene.position(waiting).await, (index % 50 + 1) as u64, "number {index}");
        }
        assert!(scene.is_active(ticket).await, "number {index} in the order");
        scene.spend(ticket).await;
    }
    assert_eq!(scene.census().await, (0, 0, tickets.len() as u64));
}
