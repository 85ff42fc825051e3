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
    verify(&draw::seed_hash(&DRAW), &DRAW, &mut list.as_bytes())
}

fn holds(list: &str) -> usize {
    verified(list).expect("it can be read").expect("it is as drawn")
}

fn breach(list: &str) -> Breach {
    verified(list).expect("it can be read").expect_err("it is not as drawn")
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
    let changed_seed = verify(&draw::seed_hash(&DRAW), &other, &mut list.as_bytes()).unwrap();
    assert_eq!(changed_seed, Err(Breach::Seed { hash: draw::hexadecimal(&draw::seed_hash(&other)) }));
    let changed_hash = verify(&draw::seed_hash(&other), &DRAW, &mut list.as_bytes()).unwrap();
    assert_eq!(changed_hash, Err(Breach::Seed { hash: draw::hexadecimal(&draw::seed_hash(&DRAW)) }));
    // Both changed together: then it is the order that does not fit.
    let both = verify(&draw::seed_hash(&other), &other, &mut list.as_bytes()).unwrap();
    assert!(matches!(both, Err(Breach::Order { .. })), "{both:?}");
}

#[test]
fn a_swapped_pair_is_found_wherever_it_is() {
    for at in 0..20 {
        let mut accounts = drawn(21);
        accounts.swap(at, at + 1);
        let before = Lot { number: draw::number(&DRAW, accounts[at]), account_id: accounts[at] };
        let (account_id, line) = (accounts[at + 1], at + 2);
        let found = breach(&lines(&accounts, |_, id| id.to_string()));
        assert_eq!(found, Breach::Order { line, account_id, drawn: number(account_id), before });
    }
}

#[test]
fn somebody_who_was_put_first_is_found() {
    let mut accounts = drawn(30);
    let favourite = accounts.remove(25);
    accounts.insert(0, favourite);
    let found = breach(&lines(&accounts, |_, id| id.to_string()));
    assert!(
        matches!(found, Breach::Order { line: 2, account_id, .. } if account_id == accounts[1]),
        "{found:?}: the favourite's number is the higher one"
    );
}

#[test]
fn a_wrong_number_is_found() {
    let accounts = drawn(10);
    let list = lines(&accounts, |index, id| format!("{id},{}", number(id) + u64::from(index == 6)));
    let (account_id, drawn) = (accounts[6], number(accounts[6]));
    assert_eq!(breach(&list), Breach::Number { line: 7, account_id, noted: drawn + 1, drawn });
}

#[test]
fn an_account_that_is_there_twice_is_found() {
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
fn those_admitted_at_the_same_instant_may_stand_in_any_order_and_only_they() {
    let accounts = drawn(6);
    let list = |order: [usize; 6]| {
        let seconds = [0, 0, 0, 1, 1, 2];
        let line =
            |(place, index): (usize, &usize)| format!("{},2030-01-01T00:00:0{}Z\n", accounts[*index], seconds[place]);
        "account_id,admitted_at\n".to_owned() + &order.iter().enumerate().map(line).collect::<String>()
    };
    assert_eq!(holds(&list([2, 0, 1, 4, 3, 5])), 6);
    for wrong in [[3, 0, 1, 2, 4, 5], [0, 1, 3, 2, 4, 5], [0, 1, 2, 5, 3, 4], [1, 2, 5, 3, 4, 0]] {
        assert!(matches!(breach(&list(wrong)), Breach::Order { .. }), "{wrong:?}");
    }
}

#[test]
fn what_is_no_list_of_accounts_is_not_checked() {
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
