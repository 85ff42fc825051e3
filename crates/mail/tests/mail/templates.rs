//! What the mails say.

use boxoffice_domain::{
    Points, ReservationId, TimeZone,
    accounts::ClientName,
    mail::{EmailAddress, Mail, MailLanguage},
    seats::SeatLabel,
    text::Name,
    uuid::Uuid,
};
use boxoffice_mail::{
    SUBJECT_CHARACTERS_MAX,
    templates::{InvalidPublicUrl, Notice, Reader, Shop, Show, written},
};
use proptest::prelude::*;

use crate::support::at;

const URL: &str = "https://tickets.example.org/shop/";

fn shop(public_url: Option<&str>) -> Shop {
    Shop::new("boxoffice", public_url, TimeZone::default()).unwrap()
}

fn reader(language: MailLanguage) -> Reader {
    let (address, name) = (EmailAddress::new("haneul@example.org").unwrap(), Some(Name::new("김하늘").unwrap()));
    Reader { address, name, language }
}

fn show(title: &str) -> Show {
    let name = |text: &str| Name::new(text).unwrap();
    Show {
        title: name(title),
        artist: name("한여름 밴드"),
        venue: name("올림픽홀"),
        location: name("서울"),
        starts_at: at("2026-12-05T10:30:00Z"),
        time_zone: TimeZone::new("Asia/Seoul").unwrap(),
    }
}

/// One notice of each kind, about a show with this title.
fn notices(title: &str) -> Vec<Notice> {
    let reservation_id = ReservationId::new(Uuid::from_u128(0xabc));
    let seats: Vec<_> = ["A-1-1", "A-1-2"].into_iter().map(|label| SeatLabel::new(label).unwrap()).collect();
    let points = Points::new(110_000).unwrap();
    let moved = Show {
        starts_at: at("2026-12-06T09:00:00Z"),
        venue: Name::new("Waldbühne").unwrap(),
        time_zone: TimeZone::new("Europe/Berlin").unwrap(),
        ..show(title)
    };
    vec![
        Notice::PurchaseConfirmed { reservation_id, show: show(title), seats: seats.clone(), amount: points },
        Notice::ReservationRefunded { reservation_id, show: show(title), seats: seats.clone(), refunded: points },
        Notice::PerformanceChanged { reservation_id, before: show(title), after: moved },
        Notice::PerformanceCancelled { reservation_id, show: show(title), seats },
        Notice::PasswordChanged { at: at("2026-11-28T15:30:00Z") },
        Notice::NewSignIn { at: at("2026-11-28T15:30:00Z"), client: ClientName::new("Firefox <b>on</b> Linux") },
        Notice::EmailVerification { code: "042137".to_owned(), minutes_valid: 10 },
        Notice::PasswordReset { token: "a-token_1".to_owned(), minutes_valid: 30 },
    ]
}

fn all(title: &str, public_url: Option<&str>) -> Vec<(Notice, Mail)> {
    let mut mails = Vec::new();
    for language in MailLanguage::ALL {
        for notice in notices(title) {
            let mail = written(Uuid::from_u128(1), &reader(language), &shop(public_url), &notice);
            mails.push((notice, mail));
        }
    }
    mails
}

/// The text of an HTML document that has no other escapes than those of the layout.
fn seen(html: &str) -> String {
    let body = html.split_once("<body").unwrap().1;
    let texts = body.split('<').skip(1).filter_map(|tag| tag.split_once('>')).map(|(_, text)| text.trim());
    let text = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (escape, character)| text.replace(escape, character))
}

#[test]
fn every_mail_is_whole_in_both_languages_and_forms() {
    for (notice, mail) in all("Night", Some(URL)) {
        for text in [&mail.subject, &mail.text, &mail.html] {
            assert!(!text.contains(['{', '}']), "{text}");
            assert!(!text.contains(notice.kind()), "a text is missing: {text}");
            assert!(!text.is_empty());
        }
        assert!(mail.html.contains(&format!("<html lang=\"{}\">", mail.language.as_str())));
        // Both forms say the same, apart from where the link is.
        let seen = seen(&mail.html);
        for line in mail.text.lines().filter(|line| !line.starts_with("--") && !line.contains("https://")) {
            for words in line.trim().split(": ") {
                let words = words.trim_end_matches(':');
                assert!(seen.contains(words), "{words:?} is not in {seen}");
            }
        }
        let is_korean = mail.text.contains(|character| ('가'..='힣').contains(&character));
        assert!(is_korean || mail.language == MailLanguage::English);
    }
}

#[test]
fn a_purchase_is_confirmed_with_all_that_matters() {
    let of = |language| {
        let mail = written(Uuid::from_u128(1), &reader(language), &shop(Some(URL)), &notices("Night")[0]);
        (mail.subject, mail.text, mail.to_name)
    };
    let (subject, text, name) = of(MailLanguage::English);
    assert_eq!((subject.as_str(), name.as_deref()), ("Your tickets: Night", Some("김하늘")));
    let expected = "\
Hello 김하늘,

Your payment is complete, and these seats are yours.

Concert: Night
Artist: 한여름 밴드
Venue: 올림픽홀, 서울
Starts: Saturday, 5 December 2026, 19:30 (Asia/Seoul)
Seats: A-1-1, A-1-2
Reservation: 00000000-0000-0000-0000-000000000abc
Paid: 110,000 points

My tickets:
https://tickets.example.org/shop/tickets

Enjoy the concert!

-- \nboxoffice sent this mail automatically. Replies are not read.
";
    assert_eq!(text, expected);
    let (subject, text, _) = of(MailLanguage::Korean);
    assert_eq!(subject, "예매 완료: Night");
    for line in ["김하늘님, 안녕하세요.", "시작: 2026년 12월 5일 토요일 19:30 (Asia/Seoul)", "결제: 110,000포인트"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_change_says_what_was_and_what_is_and_names_once_what_stays() {
    let before = show("Night");
    let text = |after: Show| {
        let reservation_id = ReservationId::new(Uuid::from_u128(1));
        let notice = Notice::PerformanceChanged { reservation_id, before: before.clone(), after };
        written(Uuid::from_u128(1), &reader(MailLanguage::English), &shop(None), &notice).text
    };
    let later = text(Show { starts_at: at("2026-12-06T10:30:00Z"), ..before.clone() });
    assert!(later.contains("Start before: Saturday, 5 December") && later.contains("Start now: Sunday, 6 December"));
    assert!(later.contains("\nVenue: 올림픽홀, 서울\n"), "{later}");
    let elsewhere = text(Show { venue: Name::new("Hall 2").unwrap(), ..before.clone() });
    assert!(elsewhere.contains("Venue before: 올림픽홀, 서울\nVenue now: Hall 2, 서울\n"), "{elsewhere}");
    assert!(elsewhere.contains("\nStarts: "), "{elsewhere}");
}

#[test]
fn a_password_is_reset_by_a_link_or_without_pages_by_the_token() {
    let notice = Notice::PasswordReset { token: "a-token_1/+=".to_owned(), minutes_valid: 30 };
    let write = |url| written(Uuid::from_u128(1), &reader(MailLanguage::English), &shop(url), &notice);
    let linked = write(Some("https://tickets.example.org"));
    let link = "https://tickets.example.org/reset-password#a-token_1%2F%2B%3D";
    assert!(linked.text.contains(link) && linked.html.contains(&format!("<a href=\"{link}\">")), "{}", linked.text);
    assert!(!linked.text.contains("a-token_1/+=") && linked.text.contains("30 minutes"));
    let plain = write(None);
    assert!(plain.text.contains("\n    a-token_1/+=\n") && !plain.html.contains("<a "), "{}", plain.text);
    assert!(plain.text.contains("Enter this code"), "{}", plain.text);
    assert!(!format!("{notice:?} {plain:?}").contains("a-token"));
}

#[test]
fn a_mail_to_an_address_that_may_be_a_stranger_s_has_nothing_that_the_writer_of_the_account_chose() {
    for language in MailLanguage::ALL {
        let notice = Notice::EmailVerification { code: "042137".to_owned(), minutes_valid: 1 };
        let mail = written(Uuid::from_u128(1), &reader(language), &shop(Some(URL)), &notice);
        assert_eq!(mail.to_name, None);
        assert!(!mail.text.contains("하늘") && !mail.html.contains("하늘"));
        assert!(mail.text.contains("\n    042137\n") && !mail.subject.contains("042137"), "{}", mail.text);
        assert!(mail.text.contains(["1 minute.", "1분"][usize::from(language == MailLanguage::Korean)]));
    }
}

#[test]
fn without_pages_no_mail_has_a_link() {
    for (_, mail) in all("Night", None) {
        assert!(!mail.text.contains("://") && !mail.html.contains("href"), "{}", mail.text);
    }
}

#[test]
fn only_a_plain_url_of_the_web_is_public() {
    for bad in [
        "",
        "tickets.example.org",
        "javascript:alert(1)",
        "ftp://example.org",
        "https://a:b@example.org",
        "https://example.org/?a",
        "https://example.org/#a",
    ] {
        assert_eq!(Shop::new("boxoffice", Some(bad), TimeZone::default()), Err(InvalidPublicUrl), "{bad}");
    }
}

#[test]
fn names_are_shown_and_never_read_as_html() {
    let title = "<script>alert('1')</script> & \"<a href=https://evil.example>x</a>\" {title}";
    for (notice, mail) in all(title, Some(URL)) {
        for tag in ["<script", "<a href=https", "<b>"] {
            assert!(!mail.html.contains(tag), "{}: {}", notice.kind(), mail.html);
        }
        let has_title = mail.text.contains(title);
        assert_eq!(seen(&mail.html).contains(title), has_title);
        assert_eq!(has_title, mail.text.contains("110,000") || notice.kind().starts_with("performance"));
        // Every link leads to the pages of the shop.
        let links = mail.html.split("href=\"").skip(1);
        assert!(links.clone().all(|link| link.starts_with(URL)), "{}", mail.html);
        assert!(links.count() <= 1);
    }
}

#[test]
fn a_reservation_may_have_as_many_seats_as_can_be_and_long_names() {
    let part = "가".repeat(255);
    let seats: Vec<_> = (1..=100).map(|number| SeatLabel::new(&format!("{part}-{part}-{number}")).unwrap()).collect();
    let title = "길".repeat(255);
    let (reservation_id, amount) = (ReservationId::new(Uuid::from_u128(1)), Points::new(i64::MAX).unwrap());
    let notice = Notice::PurchaseConfirmed { reservation_id, show: show(&title), seats: seats.clone(), amount };
    let mail = written(Uuid::from_u128(1), &reader(MailLanguage::Korean), &shop(None), &notice);
    assert!(mail.subject.chars().count() <= SUBJECT_CHARACTERS_MAX && mail.subject.ends_with('…'));
    assert!(seats.iter().all(|seat| mail.text.contains(seat.as_str()) && mail.html.contains(seat.as_str())));
    assert!(mail.text.contains(&title));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a concert is called, its mails have the elements of every other mail.
    #[test]
    fn no_name_adds_an_element(title in "[\\PC<>&\"'{}/= ]{1,60}") {
        let Ok(name) = Name::new(&title) else { return Ok(()) };
        let elements = |html: &str| html.matches('<').count();
        for ((_, plain), (_, mail)) in all("Night", Some(URL)).into_iter().zip(all(name.as_str(), Some(URL))) {
            prop_assert_eq!(elements(&mail.html), elements(&plain.html));
            prop_assert_eq!(mail.html.matches('"').count(), plain.html.matches('"').count());
            prop_assert!(mail.subject.chars().count() <= SUBJECT_CHARACTERS_MAX);
            prop_assert_eq!(mail.text.lines().count(), plain.text.lines().count());
        }
    }
}
