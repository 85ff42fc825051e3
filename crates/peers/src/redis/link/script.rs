//! Scripts, each of which Redis runs as one atomic step.
//!
//! Rust and a script agree by names. One list of names makes the head of the script, which binds them (`KEY.due`,
//! `ARG.now`), and the order in which this side sends keys and arguments. A script replies with `reply { name = value }`,
//! which [`Reply`](super::Reply) reads.

use std::marker::PhantomData;

use boxoffice_domain::{
    AccountId, Network, Timestamp,
    waiting_room::{
        DrawNumber, JoinRequest, Offer, PlaceNumber, QueuePlace, QueueTerms, RestoreRequest, SaleEnd, SaleReading,
    },
};
use redis::Cmd;

use super::reply::{MICROS_MAX, micros};

/// What every script can call.
const HEAD: &str = include_str!("head.lua");

/// How a script reads an argument.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// As a number.
    Number,
    /// As it is.
    Bytes,
}

/// An argument of a script, or several: [`fields!`](crate::fields) makes one argument of each field of a struct.
pub trait Argument {
    /// Appends the names of the arguments. `name` is that of the field that this is.
    fn names(name: &'static str, names: &mut Vec<(&'static str, Kind)>);

    /// Appends the values, in the order of the names.
    fn values(&self, values: &mut Vec<Vec<u8>>);
}

/// No argument.
impl Argument for () {
    fn names(_: &'static str, _: &mut Vec<(&'static str, Kind)>) {}

    fn values(&self, _: &mut Vec<Vec<u8>>) {}
}

impl<A: Argument, B: Argument> Argument for (A, B) {
    fn names(name: &'static str, names: &mut Vec<(&'static str, Kind)>) {
        A::names(name, names);
        B::names(name, names);
    }

    fn values(&self, values: &mut Vec<Vec<u8>>) {
        self.0.values(values);
        self.1.values(values);
    }
}

/// `nil` if there is none.
impl<A: Argument> Argument for Option<A> {
    fn names(name: &'static str, names: &mut Vec<(&'static str, Kind)>) {
        A::names(name, names);
    }

    fn values(&self, values: &mut Vec<Vec<u8>>) {
        match self {
            Some(value) => value.values(values),
            None => values.push(Vec::new()),
        }
    }
}

/// Types whose values are one argument, each with how it is read and written.
macro_rules! argument {
    ($($type:ty: $kind:ident = $bytes:expr;)*) => {$(
        impl $crate::redis::Argument for $type {
            fn names(name: &'static str, names: &mut Vec<(&'static str, $crate::redis::Kind)>) {
                names.push((name, $crate::redis::Kind::$kind));
            }

            fn values(&self, values: &mut Vec<Vec<u8>>) {
                let bytes: fn(&$type) -> Vec<u8> = $bytes;
                values.push(bytes(self));
            }
        }
    )*};
}

argument! {
    u64: Number = |number| number.to_string().into_bytes();
    u32: Number = |number| number.to_string().into_bytes();
    bool: Number = |flag| u64::from(*flag).to_string().into_bytes();
    Timestamp: Number = |at| micros(*at).to_string().into_bytes();
    String: Bytes = |text| text.clone().into_bytes();
    Network: Bytes = |network| network.to_string().into_bytes();
    AccountId: Bytes = |account_id| account_id.uuid().as_bytes().to_vec();
    DrawNumber: Number = |draw| draw.get().to_string().into_bytes();
    PlaceNumber: Number = |number| number.0.min(MICROS_MAX).to_string().into_bytes();
}

/// Types whose fields, or some of them, are arguments under their names.
#[macro_export]
macro_rules! fields {
    ($($type:ty { $($field:ident: $field_type:ty,)* })*) => {$(
        impl $crate::redis::Argument for $type {
            fn names(_: &'static str, names: &mut Vec<(&'static str, $crate::redis::Kind)>) {
                $(<$field_type as $crate::redis::Argument>::names(stringify!($field), names);)*
            }

            fn values(&self, values: &mut Vec<Vec<u8>>) {
                $(self.$field.values(values);)*
            }
        }
    )*};
}

/// What a script knows of a sale, in four numbers. A reason has its number, and 0 is none.
impl Argument for SaleReading {
    fn names(_: &'static str, names: &mut Vec<(&'static str, Kind)>) {
        names.extend(["read_at", "offer", "ends_at", "ends_with"].map(|name| (name, Kind::Number)));
    }

    fn values(&self, values: &mut Vec<Vec<u8>>) {
        let offer = match self.offer {
            Offer::Seats => 0,
            Offer::AllHeld => 9,
            Offer::NotOpen => 8,
            Offer::Nothing(end) => sale_end_number(end),
        };
        let (ends_at, ends_with) = self.ends.unzip();
        self.read_at.values(values);
        offer.values(values);
        ends_at.values(values);
        ends_with.map(sale_end_number).values(values);
    }
}

/// The number that scripts know a reason by.
fn sale_end_number(end: SaleEnd) -> u32 {
    match end {
        SaleEnd::Closed => 1,
        SaleEnd::SoldOut => 2,
        SaleEnd::Started => 3,
    }
}

fields! {
    QueueTerms { version: u32, max_active: u32, paused: bool, opens_at: Option<Timestamp>, sale: SaleReading, }
    QueuePlace { account_id: AccountId, number: PlaceNumber, joined_at: Timestamp, }
    JoinRequest { account_id: AccountId, terms: QueueTerms, draw: Option<DrawNumber>, network: Option<Network>, }
    RestoreRequest { place: QueuePlace, terms: QueueTerms, draw: Option<DrawNumber>, held_until: Option<Timestamp>, }
}

/// Structs that are the arguments of a script.
#[macro_export]
macro_rules! arguments {
    ($($(#[$meta:meta])* $struct:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone)]
        pub(crate) struct $struct {
            $($(#[$field_meta])* pub(crate) $field: $type,)*
        }

        $crate::fields! { $struct { $($field: $type,)* } }
    )*};
}

/// A script that takes arguments `A`, and the hash that it is called by.
pub struct Script<A> {
    text: String,
    hash: String,
    takes: PhantomData<fn(A)>,
}

impl<A> std::fmt::Debug for Script<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl<A: Argument> Script<A> {
    /// A script whose keys have these names, in their order.
    pub fn new(key_names: &[&str], body: &str) -> Self {
        let keys: Vec<_> = (1..).zip(key_names).map(|(index, name)| format!("{name} = KEYS[{index}], ")).collect();
        let mut names = Vec::new();
        A::names("", &mut names);
        let binding = |(index, (name, kind)): (u32, (&str, Kind))| match kind {
            Kind::Number => format!("{name} = tonumber(ARGV[{index}]), "),
            Kind::Bytes => format!("{name} = ARGV[{index}], "),
        };
        let arguments: Vec<_> = (1..).zip(names).map(binding).collect();
        let (keys, arguments) = (keys.concat(), arguments.concat());
        let text = format!("local KEY = {{ {keys}}}\nlocal ARG = {{ {arguments}}}\n{HEAD}{body}");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, takes: PhantomData }
    }

    pub(super) fn by_hash(&self, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
        call("EVALSHA", &self.hash, keys, arguments)
    }

    /// This also makes Redis know the script.
    pub(super) fn by_text(&self, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
        call("EVAL", &self.text, keys, arguments)
    }

    /// The names that the script uses after `KEY.` or `ARG.` and that its head does not bind: for tests.
    pub fn unbound(&self) -> Vec<String> {
        let (head, body) = self.text.split_once(HEAD).expect("every script begins with the head");
        let bound = |table: &str, name: &str| {
            let line = head.lines().find(|line| line.starts_with(&format!("local {table} ")));
            line.is_some_and(|line| line.contains(&format!(" {name} = ")))
        };
        let mut unbound = Vec::new();
        for table in ["KEY", "ARG"] {
            for rest in body.split(&format!("{table}.")).skip(1) {
                let name = rest.split(|other: char| other != '_' && !other.is_ascii_alphanumeric()).next();
                unbound.extend(name.filter(|name| !bound(table, name)).map(|name| format!("{table}.{name}")));
            }
        }
        unbound
    }
}

fn call(command: &str, script: &str, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
    redis::cmd(command).arg(script).arg(keys.len()).arg(keys).arg(arguments).take()
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;

    use super::*;

    arguments! {
        Inner { flag: bool, at: Option<Timestamp>, }
        Outer { text: String, inner: Inner, last: u32, }
    }

    #[test]
    fn names_and_values_are_in_the_same_order() {
        let script = Script::<(Outer, ())>::new(&["one", "other"], "return {}");
        let (bindings, body) = script.text.split_once(HEAD).expect("it begins with the head");
        let expected = "local KEY = { one = KEYS[1], other = KEYS[2], }\n\
                        local ARG = { text = ARGV[1], flag = tonumber(ARGV[2]), at = tonumber(ARGV[3]), last = tonumber(ARGV[4]), }\n";
        assert_eq!((bindings, body), (expected, "return {}"));
        let mut values = Vec::new();
        let inner = Inner { flag: true, at: None };
        (Outer { text: "words".to_owned(), inner, last: 7 }, ()).values(&mut values);
        Some(instant(1)).values(&mut values);
        let micros = micros(instant(1)).to_string();
        assert_eq!(values, [b"words", &b"1"[..], b"", b"7", micros.as_bytes()]);
    }

    #[test]
    fn a_name_that_the_head_does_not_bind_is_found() {
        let script = Script::<Inner>::new(&["one"], "return { KEY.one, KEY.other, ARG.flag, ARG.fla, ARG.at }");
        assert_eq!(script.unbound(), ["KEY.other", "ARG.fla"]);
    }
}
