//! A simulated payment gateway, which takes no money.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{
    ChargeId, Points,
    gateway::{
        GatewayError, GatewayRequest,
        GatewayVerdict::{self, Approved, Declined},
        PaymentGateway,
    },
};
use tokio::time::sleep;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SimulatorSettings {
    pub(crate) mode: SimulatorMode,
    /// How long an answer takes. The decision is made at once, so with a delay beyond the timeout the answer is late.
    pub(crate) delay: Duration,
    pub(crate) timeout: Duration,
    /// Lets the last three digits of the amount choose what happens to the first request of a charge, whatever the mode,
    /// so that a demo or a test over HTTP can cause it.
    ///
    /// | amount ends in | the first time | asked again |
    /// | --- | --- | --- |
    /// | 402 | declined | declined |
    /// | 502 | fails without a decision | by the mode |
    /// | 504 | approved, and answered too late | approved |
    pub(crate) scripted_by_amount: bool,
}

impl SimulatorSettings {
    fn mode_of_first(&self, amount: Points) -> SimulatorMode {
        match amount.get() % 1_000 {
            402 if self.scripted_by_amount => SimulatorMode::Decline,
            502 if self.scripted_by_amount => SimulatorMode::Fail,
            504 if self.scripted_by_amount => SimulatorMode::AnswerLate,
            _ => self.mode,
        }
    }
}

/// Stands in for the external system that takes money.
///
/// It remembers its verdict on the newest 100,000 charges, and repeats it at once when asked again. After a restart it
/// decides again, by the mode. A real gateway must not do that; the simulator may, because it has taken no money.
#[derive(Debug)]
pub(crate) struct SimulatedGateway {
    settings: SimulatorSettings,
    memory: Mutex<Memory>,
}

/// The verdict on each charge; `None` if it is undecided.
#[derive(Debug, Default)]
struct Memory {
    verdicts: HashMap<ChargeId, Option<GatewayVerdict>>,
    oldest_first: VecDeque<ChargeId>,
}

impl Memory {
    fn remember(&mut self, id: ChargeId, verdict: Option<GatewayVerdict>) {
        if self.verdicts.insert(id, verdict).is_none() {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

/// What the caller sees.
enum Answer {
    Verdict { verdict: GatewayVerdict, delay: Duration },
    Failure,
    Never,
}

impl SimulatedGateway {
    pub(crate) fn new(settings: SimulatorSettings) -> Self {
        Self { settings, memory: Mutex::default() }
    }

    /// Decides the charge, unless it is decided, and returns what the caller sees. It does not wait, so a caller that gives
    /// up changes nothing.
    fn decide(&self, request: &GatewayRequest) -> Answer {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mode = match memory.verdicts.get(&request.charge_id) {
            Some(Some(verdict)) => return Answer::Verdict { verdict: *verdict, delay: Duration::ZERO },
            Some(None) => self.settings.mode,
            None => self.settings.mode_of_first(request.amount),
        };
        let after_delay = |verdict| Answer::Verdict { verdict, delay: self.settings.delay };
        let (verdict, answer) = match mode {
            SimulatorMode::Approve => (Some(Approved), after_delay(Approved)),
            SimulatorMode::Decline => (Some(Declined), after_delay(Declined)),
            SimulatorMode::AnswerLate => (Some(Approved), Answer::Never),
            SimulatorMode::TimeOut => (None, Answer::Never),
            SimulatorMode::Fail => (None, Answer::Failure),
        };
        memory.remember(request.charge_id, verdict);
        answer
    }
}

#[async_trait]
impl PaymentGateway for SimulatedGateway {
    async fn charge(&self, request: GatewayRequest) -> Result<GatewayVerdict, GatewayError> {
        let timeout = self.settings.timeout;
        match self.decide(&request) {
            Answer::Verdict { verdict, delay } if delay < timeout => {
                sleep(delay).await;
                Ok(verdict)
            }
            Answer::Verdict { .. } | Answer::Never => {
                sleep(timeout).await;
                Err(GatewayError::TimedOut)
            }
            Answer::Failure => Err(GatewayError::Failed("the simulated gateway fails, as its mode says".into())),
        }
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
        scripted_by_amount: false,
    };

    fn gateway(mode: SimulatorMode) -> SimulatedGateway {
        SimulatedGateway::new(SimulatorSettings { mode, ..AT_ONCE })
    }

    fn request(amount: i64) -> GatewayRequest {
        let charge = fixtures::charge_request(amount);
        GatewayRequest { charge_id: charge.charge_id, account_id: charge.account_id, amount: charge.amount.points() }
    }

    /// What the caller saw, and how long it took.
    async fn asked(gateway: &SimulatedGateway, request: &GatewayRequest) -> (&'static str, Duration) {
        let start = Instant::now();
        let seen = match gateway.charge(*request).await {
            Ok(Approved) => "approved",
            Ok(Declined) => "declined",
            Err(GatewayError::TimedOut) => "timed out",
            Err(GatewayError::Failed(_)) => "failed",
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
        let hung_up = tokio::time::timeout(Duration::from_millis(1), gateway.charge(request)).await;
        assert!(hung_up.is_err());
        assert_eq!(asked(&gateway, &request).await, ("approved", Duration::ZERO));
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let gateway = gateway(SimulatorMode::Approve);
        let id = |number: usize| ChargeId::new(uuid::Uuid::from_u64_pair(0, number as u64));
        let account_id = AccountId::new(uuid::Uuid::nil());
        for number in 0..=REMEMBERED_MAX {
            gateway.decide(&GatewayRequest { charge_id: id(number), account_id, amount: Points::ZERO });
        }
        let memory = gateway.memory.into_inner().unwrap();
        assert_eq!((memory.verdicts.len(), memory.oldest_first.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!memory.verdicts.contains_key(&id(0)) && memory.verdicts.contains_key(&id(1)));
    }
}
