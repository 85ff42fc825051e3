//! A simulated payment gateway, which takes no money.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{
    ChargeId, ChargeRefundId, Points, Timestamp,
    gateway::{
        ClientAction, DeclineReason, GatewayAnswer, GatewayError, GatewayRecord, GatewayReference, GatewayRefund,
        GatewayRequest, GatewayState, HeaderField, Notification, NotificationRefusal, PaymentGateway, RefundVerdict,
    },
};
use tokio::time::{Instant, sleep};

/// How many of the newest charges are remembered.
const REMEMBERED_MAX: usize = 100_000;

/// What the simulator does with a charge that it has not decided yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SimulatorMode {
    Approve,
    Decline,
    /// Never answers and never decides.
    TimeOut,
    /// Approves it, and answers after the caller has given up. Asked again, it answers at once.
    AnswerLate,
    /// Fails without a decision.
    Fail,
    /// Approves it when the buyer has acted.
    RequireAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SimulatorSettings {
    pub(crate) mode: SimulatorMode,
    /// How long an answer takes. The decision is made at once, so with a delay beyond the timeout the answer is late.
    pub(crate) delay: Duration,
    pub(crate) timeout: Duration,
    /// How long the buyer takes to act; `None` for ever.
    pub(crate) action_time: Option<Duration>,
    /// Lets the last three digits of the amount choose what happens to the first request of a charge, whatever the mode,
    /// so that a demo or a test over HTTP can cause it.
    ///
    /// | amount ends in | the first time | asked again |
    /// | --- | --- | --- |
    /// | 402 | declined | declined |
    /// | 408 | times out without a decision | by the mode |
    /// | 428 | the buyer has to act | approved when the buyer has acted |
    /// | 502 | fails without a decision | by the mode |
    /// | 504 | approved, and answered too late | approved |
    ///
    /// Refunds of an amount that ends in 402 are refused, and such as end in 502 fail the first time.
    pub(crate) scripted_by_amount: bool,
}

impl SimulatorSettings {
    fn mode_of_first(&self, amount: Points) -> SimulatorMode {
        match amount.get() % 1_000 {
            402 if self.scripted_by_amount => SimulatorMode::Decline,
            408 if self.scripted_by_amount => SimulatorMode::TimeOut,
            428 if self.scripted_by_amount => SimulatorMode::RequireAction,
            502 if self.scripted_by_amount => SimulatorMode::Fail,
            504 if self.scripted_by_amount => SimulatorMode::AnswerLate,
            _ => self.mode,
        }
    }
}

/// Stands in for the external system that takes money.
///
/// It remembers its decisions about the newest 100,000 charges, and repeats them at once when asked again. After a restart it
/// decides again, by the mode, and gives back what it is said to have taken. A real gateway must not do that; the simulator
/// may, because it has taken no money.
#[derive(Debug)]
pub(crate) struct SimulatedGateway {
    settings: SimulatorSettings,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    charges: HashMap<ChargeId, Remembered>,
    oldest_first: VecDeque<ChargeId>,
}

/// What is remembered of a charge.
#[derive(Clone, Debug)]
struct Remembered {
    amount: Points,
    created_at: Timestamp,
    state: Decision,
    refunds: Vec<(ChargeRefundId, Points)>,
    /// Refunds that failed once.
    failed: Vec<ChargeRefundId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Undecided,
    /// The buyer acts at this instant, if at all.
    WaitsForBuyer(Option<Instant>),
    Approved,
    Declined(DeclineReason),
}

impl Remembered {
    fn refunded(&self) -> Points {
        Points::checked_sum(self.refunds.iter().map(|(_, amount)| *amount)).unwrap_or_default()
    }
}

impl Memory {
    /// What is remembered of a charge, the buyer's act included; a conflict if it is of another amount.
    fn recall(&mut self, request: &GatewayRequest) -> Result<Option<&mut Remembered>, GatewayError> {
        let Some(known) = self.charges.get_mut(&request.charge_id) else { return Ok(None) };
        if known.amount != request.amount {
            return Err(GatewayError::Conflict);
        }
        if let Decision::WaitsForBuyer(Some(acts_at)) = known.state
            && acts_at <= Instant::now()
        {
            known.state = Decision::Approved;
        }
        Ok(Some(known))
    }

    fn remember(&mut self, request: &GatewayRequest, state: Decision) {
        let (amount, created_at) = (request.amount, request.created_at);
        let known = Remembered { amount, created_at, state, refunds: Vec::new(), failed: Vec::new() };
        if self.charges.insert(request.charge_id, known).is_none() {
            self.oldest_first.push_back(request.charge_id);
        }
        if self.oldest_first.len() > REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.charges.remove(&oldest);
        }
    }
}

/// What the caller sees.
enum Seen {
    Answer { state: Decision, delay: Duration },
    Failure,
    Never,
}

impl SimulatedGateway {
    pub(crate) fn new(settings: SimulatorSettings) -> Self {
        Self { settings, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides the charge, unless it is decided, and returns what the caller sees. It does not wait, so a caller that gives
    /// up changes nothing.
    fn decide(&self, request: &GatewayRequest) -> Result<Seen, GatewayError> {
        let mut memory = self.memory();
        let mode = match memory.recall(request)?.map(|known| known.state) {
            Some(Decision::Undecided) => self.settings.mode,
            Some(state) => return Ok(Seen::Answer { state, delay: Duration::ZERO }),
            None => self.settings.mode_of_first(request.amount),
        };
        let after_delay = |state| (state, Seen::Answer { state, delay: self.settings.delay });
        let acts_at = self.settings.action_time.map(|time| Instant::now() + time);
        let (state, seen) = match mode {
            SimulatorMode::Approve => after_delay(Decision::Approved),
            SimulatorMode::Decline => after_delay(Decision::Declined(DeclineReason::Refused)),
            SimulatorMode::RequireAction => after_delay(Decision::WaitsForBuyer(acts_at)),
            SimulatorMode::AnswerLate => (Decision::Approved, Seen::Never),
            SimulatorMode::TimeOut => (Decision::Undecided, Seen::Never),
            SimulatorMode::Fail => (Decision::Undecided, Seen::Failure),
        };
        memory.remember(request, state);
        Ok(seen)
    }

    /// The buyer acts now.
    #[cfg(test)]
    pub(crate) fn act(&self, request: &GatewayRequest, confirms: bool) -> bool {
        let mut memory = self.memory();
        let Ok(Some(known)) = memory.recall(request) else { return false };
        let waits = matches!(known.state, Decision::WaitsForBuyer(_));
        if waits && confirms {
            known.state = Decision::Approved;
        }
        waits
    }
}

fn reference(id: ChargeId) -> GatewayReference {
    GatewayReference::new(format!("simulated-{id}")).expect("a UUID is plain")
}

fn answer(request: &GatewayRequest, state: Decision) -> GatewayAnswer {
    let (reference, state) = match state {
        Decision::Undecided => (None, GatewayState::Processing),
        Decision::Declined(reason) => (None, GatewayState::Declined(reason)),
        Decision::Approved => (Some(reference(request.charge_id)), GatewayState::Approved),
        Decision::WaitsForBuyer(_) => {
            let action =
                ClientAction { client_secret: "simulated".to_owned(), redirect_url: Some("/wallet".to_owned()) };
            (Some(reference(request.charge_id)), GatewayState::ActionRequired(action))
        }
    };
    GatewayAnswer { reference, state }
}

#[async_trait]
impl PaymentGateway for SimulatedGateway {
    async fn begin(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let timeout = self.settings.timeout;
        match self.decide(request)? {
            Seen::Answer { state, delay } if delay < timeout => {
                sleep(delay).await;
                Ok(answer(request, state))
            }
            Seen::Answer { .. } | Seen::Never => {
                sleep(timeout).await;
                Err(GatewayError::TimedOut)
            }
            Seen::Failure => Err(GatewayError::Failed("the simulated gateway fails, as its mode says".into())),
        }
    }

    /// A charge that it has not decided is unknown to it, so that it is begun again.
    async fn query(&self, request: &GatewayRequest) -> Result<Option<GatewayAnswer>, GatewayError> {
        let known = self.memory().recall(request)?.map(|known| known.state);
        Ok(known.filter(|state| *state != Decision::Undecided).map(|state| answer(request, state)))
    }

    async fn abandon(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let mut memory = self.memory();
        let state = match memory.recall(request)?.map(|known| known.state) {
            Some(state @ (Decision::Approved | Decision::Declined(_))) => state,
            Some(Decision::Undecided | Decision::WaitsForBuyer(_)) | None => {
                let state = Decision::Declined(DeclineReason::Abandoned);
                memory.remember(request, state);
                state
            }
        };
        Ok(answer(request, state))
    }

    async fn refund(&self, refund: &GatewayRefund) -> Result<RefundVerdict, GatewayError> {
        let mut memory = self.memory();
        let Some(known) = memory.recall(&refund.charge)? else {
            // Only a charge that was approved has this name; it was forgotten.
            let is_own = refund.charge.reference == Some(reference(refund.charge.charge_id));
            return Ok(if is_own { RefundVerdict::Accepted } else { RefundVerdict::Refused });
        };
        if let Some((_, amount)) = known.refunds.iter().find(|(id, _)| *id == refund.refund_id) {
            return if *amount == refund.amount { Ok(RefundVerdict::Accepted) } else { Err(GatewayError::Conflict) };
        }
        let after = known.refunded().checked_add(refund.amount);
        if known.state != Decision::Approved || after.is_none_or(|after| after > known.amount) {
            return Ok(RefundVerdict::Refused);
        }
        match refund.amount.get() % 1_000 {
            402 if self.settings.scripted_by_amount => return Ok(RefundVerdict::Refused),
            502 if self.settings.scripted_by_amount && !known.failed.contains(&refund.refund_id) => {
                known.failed.push(refund.refund_id);
                return Err(GatewayError::Failed("the simulated gateway fails, as the amount says".into()));
            }
            _ => {}
        }
        known.refunds.push((refund.refund_id, refund.amount));
        Ok(RefundVerdict::Accepted)
    }

    fn verify_notification(
        &self,
        _fields: &[HeaderField],
        _body: &[u8],
        _now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        Err(NotificationRefusal::NotExpected)
    }

    async fn records(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<GatewayRecord>, GatewayError> {
        let memory = self.memory();
        let in_time = memory.charges.iter().filter(|(_, known)| (from..until).contains(&known.created_at));
        let record = |(id, known): (&ChargeId, &Remembered)| GatewayRecord {
            reference: reference(*id),
            charge_id: Some(*id),
            amount: known.amount,
            is_paid: known.state == Decision::Approved,
            refunded: known.refunded(),
            created_at: known.created_at,
        };
        let records: Vec<_> = in_time.map(record).collect();
        if records.len() > limit {
            return Err(GatewayError::Failed(format!("there are more than {limit} payments").into()));
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{AccountId, fixtures};
    use tokio::time::Instant;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// Approves at once, whatever the amount.
    const AT_ONCE: SimulatorSettings = SimulatorSettings {
        mode: SimulatorMode::Approve,
        delay: Duration::ZERO,
        timeout: TIMEOUT,
        action_time: None,
        scripted_by_amount: false,
    };

    fn gateway(mode: SimulatorMode) -> SimulatedGateway {
        SimulatedGateway::new(SimulatorSettings { mode, ..AT_ONCE })
    }

    fn request(amount: i64) -> GatewayRequest {
        let charge = fixtures::charge_request(amount);
        GatewayRequest {
            charge_id: charge.charge_id,
            account_id: charge.account_id,
            amount: charge.amount.points(),
            payment_method: None,
            created_at: fixtures::instant(0),
            reference: None,
        }
    }

    /// What the caller saw, and how long it took.
    async fn asked(gateway: &SimulatedGateway, request: &GatewayRequest) -> (&'static str, Duration) {
        let start = Instant::now();
        let seen = match gateway.begin(request).await.map(|answer| answer.state) {
            Ok(GatewayState::Approved) => "approved",
            Ok(GatewayState::Declined(_)) => "declined",
            Ok(GatewayState::ActionRequired(_)) => "action",
            Err(GatewayError::TimedOut) => "timed out",
            Err(GatewayError::Failed(_)) => "failed",
            other => panic!("{other:?}"),
        };
        (seen, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_mode_does_what_it_says() {
        let (at_once, late) = (Duration::ZERO, TIMEOUT);
        for (mode, first, again) in [
            (SimulatorMode::Approve, ("approved", at_once), ("approved", at_once)),
            (SimulatorMode::Decline, ("declined", at_once), ("declined", at_once)),
            (SimulatorMode::TimeOut, ("timed out", late), ("timed out", late)),
            (SimulatorMode::AnswerLate, ("timed out", late), ("approved", at_once)),
            (SimulatorMode::Fail, ("failed", at_once), ("failed", at_once)),
            (SimulatorMode::RequireAction, ("action", at_once), ("action", at_once)),
        ] {
            // This amount would be declined if amounts were scripted.
            let (gateway, request) = (gateway(mode), request(10_402));
            assert_eq!(asked(&gateway, &request).await, first, "{mode:?}");
            assert_eq!(asked(&gateway, &request).await, again, "{mode:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_beyond_the_timeout_is_an_answer_that_comes_late() {
        for (delay, first) in [(4, ("approved", 4)), (5, ("timed out", 5)), (60, ("timed out", 5))] {
            let delay = Duration::from_secs(delay);
            let gateway = SimulatedGateway::new(SimulatorSettings { delay, ..AT_ONCE });
            let request = request(1_000);
            assert_eq!(asked(&gateway, &request).await, (first.0, Duration::from_secs(first.1)));
            assert_eq!(asked(&gateway, &request).await, ("approved", Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_hangs_up_does_not_undo_the_decision() {
        let settings = SimulatorSettings { delay: Duration::from_secs(1), ..AT_ONCE };
        let (gateway, request) = (SimulatedGateway::new(settings), request(1_000));
        let hung_up = tokio::time::timeout(Duration::from_millis(1), gateway.begin(&request)).await;
        assert!(hung_up.is_err());
        assert_eq!(asked(&gateway, &request).await, ("approved", Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_buyer_acts_after_a_while_and_what_was_forgotten_is_given_back_by_its_name() {
        let action_time = Some(Duration::from_secs(3));
        let settings = SimulatorSettings { action_time, scripted_by_amount: true, ..AT_ONCE };
        let (gateway, request) = (SimulatedGateway::new(settings), request(10_428));
        assert_eq!(asked(&gateway, &request).await.0, "action");
        sleep(Duration::from_secs(3)).await;
        let answer = gateway.query(&request).await.unwrap().unwrap();
        assert_eq!(answer.state, GatewayState::Approved);
        let restarted = SimulatedGateway::new(settings);
        let refund = |reference| GatewayRefund {
            refund_id: ChargeRefundId::new(uuid::Uuid::nil()),
            charge: GatewayRequest { reference, ..request.clone() },
            amount: request.amount,
        };
        assert_eq!(restarted.refund(&refund(answer.reference)).await.unwrap(), RefundVerdict::Accepted);
        assert_eq!(restarted.refund(&refund(None)).await.unwrap(), RefundVerdict::Refused);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let gateway = gateway(SimulatorMode::Approve);
        let id = |number: usize| ChargeId::new(uuid::Uuid::from_u64_pair(0, number as u64));
        let account_id = AccountId::new(uuid::Uuid::nil());
        for number in 0..=REMEMBERED_MAX {
            gateway.decide(&GatewayRequest { charge_id: id(number), account_id, ..request(1) }).unwrap();
        }
        let memory = gateway.memory.into_inner().unwrap();
        assert_eq!((memory.charges.len(), memory.oldest_first.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!memory.charges.contains_key(&id(0)) && memory.charges.contains_key(&id(1)));
    }
}
