//! Checking a draw that was held, from its public seed and a list of the accounts that were admitted.
//!
//! The list is in CSV or in JSON lines, one account a line, in the order of admission. CSV may begin with a line of column
//! names; without one the columns are `account_id,draw_number`. `account_id` is required; `draw_number`, `position` (in a
//! queue that no account left since) and `admitted_at` are checked if they are there. Accounts that were admitted at the
//! same instant may be in any order. A warning names what else the list has.

mod list;

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io::stdin,
};

use self::list::{Listed, Unused};
use crate::{exit::Exit, output, text_file};
use anyhow::{Context, bail};
use boxoffice_application::draw;
use boxoffice_domain::{
    AccountId,
    waiting_room::{Draw, DrawNumber},
};

/// The most bytes of a list: more than ten million accounts in CSV and UTF-8.
const LIST_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VerifyDrawOptions {
    /// The hash that the concert showed before the draw: 64 hexadecimal digits
    #[arg(long, value_name = "HASH", value_parser = bytes)]
    seed_hash: [u8; 32],
    /// The seed that the concert shows since its sale opened: 64 hexadecimal digits
    #[arg(long, value_name = "SEED", value_parser = bytes)]
    seed: [u8; 32],
    /// The accounts in the order of admission, in CSV or JSON lines; `-` for the standard input
    file: String,
}

fn bytes(text: &str) -> Result<[u8; 32], &'static str> {
    draw::from_hexadecimal(text).ok_or("it must have 64 hexadecimal digits")
}

/// Checks a draw, and prints the result.
pub(crate) fn run(options: &VerifyDrawOptions) -> anyhow::Result<Exit> {
    let VerifyDrawOptions { seed_hash, seed, file } = options;
    let list = if file == "-" {
        text_file::read(stdin().lock(), LIST_BYTES_MAX)
    } else {
        File::open(file).and_then(|opened| text_file::read(opened, LIST_BYTES_MAX))
    };
    let list = list.with_context(|| format!("cannot read {file}"))?;
    let mut unused = Unused::new();
    let verified = verify(seed_hash, &Draw::new(*seed), &list, &mut unused);
    if !unused.is_empty() {
        let names: Vec<_> = unused.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
        output::print_error(&format!(
            "warning: not checked: {}; what is checked has the names account_id, draw_number, position and admitted_at",
            names.join(", ")
        ));
    }
    let (line, exit) = match verified.with_context(|| format!("cannot check {file}"))? {
        Ok(accounts) => {
            let line = format!("the seed has the published hash, and {accounts} accounts are in the order drawn");
            (line, Exit::Success)
        }
        Err(breach) => (breach.to_string(), Exit::Refused),
    };
    output::print_line(&line)?;
    Ok(exit)
}

/// The first deviation from the draw. Lines are counted from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Breach {
    #[error("seed: its hash is {hash}, not the published one")]
    Seed { hash: String },
    #[error("line {line}: the account {account_id} has drawn {drawn}, not {noted}")]
    Number { line: usize, account_id: AccountId, noted: i64, drawn: u64 },
    #[error("line {line}: the account {account_id} is on line {first} too")]
    Twice { line: usize, account_id: AccountId, first: usize },
    #[error("line {line}: the account {account_id} was not admitted after the previous one")]
    NotAdmittedInOrder { line: usize, account_id: AccountId },
    #[error(
        "line {line}: the account {account_id}, which has drawn {drawn}, was admitted after {}, which has drawn {}",
        .before.account_id,
        .before.number.get()
    )]
    Order { line: usize, account_id: AccountId, drawn: u64, before: Place },
}

/// The place of an account in the draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    number: DrawNumber,
    account_id: AccountId,
}

/// How many accounts are in the order drawn, or the first breach. Fails if the list cannot be read.
fn verify(seed_hash: &[u8; 32], draw: &Draw, list: &str, unused: &mut Unused) -> anyhow::Result<Result<usize, Breach>> {
    let hash = draw::seed_hash(draw);
    if hash != *seed_hash {
        return Ok(Err(Breach::Seed { hash: draw::hexadecimal(&hash) }));
    }
    let mut check = Check { draw, first_lines: HashMap::new(), last: None, earlier: None, together: None };
    for entry in list::accounts(list, unused) {
        let (line, listed) = entry?;
        if let Err(breach) = check.take(line, listed) {
            return Ok(Err(breach));
        }
    }
    match check.first_lines.len() {
        0 => bail!("no account is in the list"),
        accounts => Ok(Ok(accounts)),
    }
}

/// What has been checked so far.
struct Check<'d> {
    draw: &'d Draw,
    first_lines: HashMap<AccountId, usize>,
    last: Option<Listed>,
    /// The last in the draw of all accounts that were admitted before the present instant.
    earlier: Option<Place>,
    /// The last in the draw of those that were admitted at it.
    together: Option<Place>,
}

impl Check<'_> {
    fn take(&mut self, line: usize, listed: Listed) -> Result<(), Breach> {
        let account_id = AccountId::new(listed.account_id);
        let place = Place { number: draw::number(self.draw, account_id), account_id };
        let drawn = place.number.get();
        match self.first_lines.entry(account_id) {
            Entry::Occupied(first) => return Err(Breach::Twice { line, account_id, first: *first.get() }),
            Entry::Vacant(vacant) => vacant.insert(line),
        };
        if let Some(noted) = listed.draw_number.filter(|noted| u64::try_from(*noted) != Ok(drawn)) {
            return Err(Breach::Number { line, account_id, noted, drawn });
        }
        if let Some(last) = self.last.replace(listed) {
            let position = last.position.zip(listed.position);
            let admitted_at = last.admitted_at.zip(listed.admitted_at);
            if position.is_some_and(|(last, next)| next <= last) || admitted_at.is_some_and(|(last, next)| next < last)
            {
                return Err(Breach::NotAdmittedInOrder { line, account_id });
            }
            let together = admitted_at.is_some_and(|(last, next)| last == next) && position.is_none();
            if !together {
                self.earlier = self.earlier.max(self.together.take());
            }
        }
        if let Some(before) = self.earlier.filter(|before| place < *before) {
            return Err(Breach::Order { line, account_id, drawn, before });
        }
        self.together = self.together.max(Some(place));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DRAW: Draw = Draw::new([7; 32]);

    /// Accounts in the order drawn.
    fn drawn(count: u128) -> Vec<AccountId> {
        let mut accounts: Vec<AccountId> = (0..count).map(|id| AccountId::new(Uuid::from_u128(id))).collect();
        accounts.sort_by_key(|id| draw::number(&DRAW, *id));
        accounts
    }

    fn number(account_id: AccountId) -> u64 {
        draw::number(&DRAW, account_id).get()
    }

    fn verified(list: &str) -> anyhow::Result<Result<usize, Breach>> {
        verify(&draw::seed_hash(&DRAW), &DRAW, list, &mut Unused::new())
    }

    fn holds(list: &str) -> usize {
        verified(list).expect("it is readable").expect("it is as drawn")
    }

    fn breach(list: &str) -> Breach {
        verified(list).expect("it is readable").expect_err("it is not as drawn")
    }

    fn lines(accounts: &[AccountId], line: impl Fn(usize, AccountId) -> String) -> String {
        accounts.iter().enumerate().map(|(index, id)| line(index, *id) + "\n").collect()
    }

    #[test]
    fn a_list_in_order_holds_in_every_form() {
        let accounts = drawn(1_000);
        assert_eq!(holds(&lines(&accounts, |_, id| id.to_string())), 1_000);
        assert_eq!(holds(&lines(&accounts, |_, id| format!("{id},{}", number(id)))), 1_000);
        let named = lines(&accounts, |index, id| format!("{index}, {}, \"{id}\"", number(id)));
        assert_eq!(holds(&format!("position, draw_number, account_id\r\n{named}\n\n")), 1_000);
        let json = lines(&accounts, |index, id| {
            serde_json::json!({"account_id": id.uuid(), "position": index + 1, "status": "waiting"}).to_string()
        });
        assert_eq!(holds(&json), 1_000);
    }

    #[test]
    fn a_changed_seed_or_commitment_is_found() {
        let list = lines(&drawn(10), |_, id| id.to_string());
        let other = Draw::new([8; 32]);
        let changed_seed = verify(&draw::seed_hash(&DRAW), &other, &list, &mut Unused::new()).unwrap();
        assert_eq!(changed_seed, Err(Breach::Seed { hash: draw::hexadecimal(&draw::seed_hash(&other)) }));
        let changed_hash = verify(&draw::seed_hash(&other), &DRAW, &list, &mut Unused::new()).unwrap();
        assert_eq!(changed_hash, Err(Breach::Seed { hash: draw::hexadecimal(&draw::seed_hash(&DRAW)) }));
        // If both change together, the order deviates.
        let both = verify(&draw::seed_hash(&other), &other, &list, &mut Unused::new()).unwrap();
        assert!(matches!(both, Err(Breach::Order { .. })), "{both:?}");
    }

    #[test]
    fn a_swapped_pair_is_found_wherever_it_is() {
        for at in 0..20 {
            let mut accounts = drawn(21);
            accounts.swap(at, at + 1);
            let before = Place { number: draw::number(&DRAW, accounts[at]), account_id: accounts[at] };
            let (account_id, line) = (accounts[at + 1], at + 2);
            let found = breach(&lines(&accounts, |_, id| id.to_string()));
            assert_eq!(found, Breach::Order { line, account_id, drawn: number(account_id), before });
        }
    }

    #[test]
    fn a_wrong_number_is_found() {
        let accounts = drawn(10);
        let list = lines(&accounts, |index, id| format!("{id},{}", number(id) + u64::from(index == 6)));
        let (account_id, drawn) = (accounts[6], number(accounts[6]));
        assert_eq!(
            breach(&list),
            Breach::Number { line: 7, account_id, noted: i64::try_from(drawn).unwrap() + 1, drawn }
        );
    }

    #[test]
    fn an_account_that_is_listed_twice_is_found() {
        let mut accounts = drawn(10);
        accounts[4] = accounts[3];
        let expected = Breach::Twice { line: 5, account_id: accounts[3], first: 4 };
        assert_eq!(breach(&lines(&accounts, |_, id| id.to_string())), expected);
    }

    #[test]
    fn positions_and_times_have_to_be_in_order_too() {
        let accounts = drawn(3);
        let list = |position: [u32; 3]| {
            "account_id,position\n".to_owned() + &lines(&accounts, |index, id| format!("{id},{}", position[index]))
        };
        assert_eq!(holds(&list([1, 2, 9])), 3);
        let expected = |line| Breach::NotAdmittedInOrder { line, account_id: accounts[line - 2] };
        assert_eq!(breach(&list([1, 3, 2])), expected(4));
        assert_eq!(breach(&list([1, 1, 2])), expected(3));
        let timed = |seconds: [u32; 3]| {
            let at = |index: usize| format!("2030-01-01T00:00:0{}Z", seconds[index]);
            lines(&accounts, |index, id| format!(r#"{{"account_id":"{id}","admitted_at":"{}"}}"#, at(index)))
        };
        assert_eq!(holds(&timed([1, 1, 2])), 3);
        assert_eq!(breach(&timed([1, 2, 1])), Breach::NotAdmittedInOrder { line: 3, account_id: accounts[2] });
    }

    #[test]
    fn only_accounts_admitted_at_the_same_instant_may_be_in_any_order() {
        let accounts = drawn(6);
        let list = |order: [usize; 6]| {
            let seconds = [0, 0, 0, 1, 1, 2];
            let line = |(place, index): (usize, &usize)| {
                format!("{},2030-01-01T00:00:0{}Z\n", accounts[*index], seconds[place])
            };
            "account_id,admitted_at\n".to_owned() + &order.iter().enumerate().map(line).collect::<String>()
        };
        assert_eq!(holds(&list([2, 0, 1, 4, 3, 5])), 6);
        for wrong in [[3, 0, 1, 2, 4, 5], [0, 1, 3, 2, 4, 5], [0, 1, 2, 5, 3, 4], [1, 2, 5, 3, 4, 0]] {
            assert!(matches!(breach(&list(wrong)), Breach::Order { .. }), "{wrong:?}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_list_of_accounts_is_not_checked() {
        let account = Uuid::from_u128(1);
        for list in [
            String::new(),
            "\n\n".to_owned(),
            "account_id,position\n".to_owned(),
            "nobody\n".to_owned(),
            format!("{account},7,8\n"),
            format!("{account},many\n"),
            format!("{{\"account\":\"{account}\"}}\n"),
            format!("{{\"account_id\":\"{account}\",\"position\":-1}}\n"),
            "x".repeat(100_000),
        ] {
            assert!(verified(&list).is_err(), "{list}");
        }
    }
}
