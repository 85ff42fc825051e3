//! What a browser gets.

use std::{fs, path::PathBuf};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header::HeaderMap},
};
use tower::ServiceExt;

/// How many bytes the first view may take, compressed, with all that it loads.
const FIRST_VIEW_BYTES_MAX: usize = 60 * 1_024;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn pages() -> Router {
    boxoffice_pages::router(None).unwrap()
}

async fn get(router: &Router, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = fields.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// The addresses in a page.
fn addresses(page: &str) -> Vec<&str> {
    page.split('"').filter(|part| part.starts_with("/assets/")).collect()
}

#[tokio::test]
async fn every_view_is_the_page_in_the_language_of_the_client() {
    let router = pages();
    let shop = ["/", "/concerts/1", "/concerts/1/queue", "/performances/1", "/checkout/1", "/tickets", "/sign-in"];
    for path in shop.into_iter().chain(["/organiser", "/organiser/publish", "/organiser/concerts/1"]) {
        let korean = get(&router, path, &[("accept-language", "ko-KR,ko;q=0.9")]).await;
        assert_eq!(
            (korean.status, korean.field("content-type")),
            (StatusCode::OK, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(korean.text().contains(r#"<html lang="ko">"#), "{path}");
        assert!(get(&router, path, &[]).await.text().contains(r#"<html lang="en">"#), "{path}");
        assert_eq!(korean.field("vary"), "accept-encoding, accept-language");
        assert_eq!(korean.field("cache-control"), "no-cache");
    }
}

#[tokio::test]
async fn where_nothing_is_who_wants_a_page_gets_one_that_says_so() {
    let router = pages();
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for (path, fields, is_page) in [
        ("/nothing", &browser[..], true),
        ("/concerts/1/nothing", &browser, true),
        ("/nothing", &[], false),
        ("/nothing", &[("accept", "application/json")], false),
        ("/v1/nothing", &browser, false),
    ] {
        let answer = get(&router, path, fields).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.field("content-type") == "text/html; charset=utf-8", is_page, "{path} {fields:?}");
    }
}

#[tokio::test]
async fn a_page_may_load_and_ask_from_its_own_host_alone() {
    let page = get(&pages(), "/", &[]).await;
    let policy = page.field("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    for inline in ["<style", "style=", "onclick", "<script>", "javascript:"] {
        assert!(!page.text().contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn files_are_kept_for_ever_under_the_digest_of_their_version() {
    let router = pages();
    let page = get(&router, "/", &[]).await;
    let addresses = addresses(page.text());
    assert!(addresses.len() > 5, "{addresses:?}");
    for address in &addresses {
        for (accepts, coding) in [("gzip, br", "br"), ("gzip", "gzip"), ("", "")] {
            let file = get(&router, address, &[("accept-encoding", accepts)]).await;
            assert_eq!(file.status, StatusCode::OK, "{address}");
            let short = file.body.len() < 300;
            assert!(file.field("content-encoding") == coding || short, "{address} in {accepts}");
            assert_eq!(file.field("cache-control"), "public, max-age=31536000, immutable");
            let again =
                get(&router, address, &[("accept-encoding", accepts), ("if-none-match", file.field("etag"))]).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{address}");
        }
    }
    let other = addresses[0].replacen("/assets/", "/assets/0", 1);
    assert_eq!(get(&router, &other, &[]).await.status, StatusCode::NOT_FOUND);
    let version = addresses[0].split('/').nth(2).unwrap();
    for outside in ["index.html", "../Cargo.toml", "views", "%2e%2e/Cargo.toml"] {
        let answer = get(&router, &format!("/assets/{version}/{outside}"), &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{outside}");
    }
}

#[tokio::test]
async fn the_first_view_is_small() {
    let router = pages();
    let accepts = [("accept-encoding", "br")];
    let page = get(&router, "/", &accepts).await;
    let plain = get(&router, "/", &[]).await;
    let addresses = addresses(plain.text());
    let version = addresses[0].split('/').nth(2).unwrap();
    // What the modules of the page load beside.
    let later = ["views/home.js", "icons.svg"].map(|name| format!("/assets/{version}/{name}"));
    assert!(addresses.contains(&format!("/assets/{version}/en.json").as_str()), "texts come with the page");
    assert_eq!(plain.headers["link"], format!("<{}>; rel=modulepreload", later[0]), "and so does the first view");
    let mut sum = page.body.len();
    for address in addresses.into_iter().map(str::to_owned).chain(later) {
        let file = get(&router, &address, &accepts).await;
        assert_eq!(file.status, StatusCode::OK, "{address}");
        sum += file.body.len();
    }
    println!("the first view takes {sum} bytes");
    assert!(sum <= FIRST_VIEW_BYTES_MAX, "the first view takes {sum} bytes");
}

fn brand(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("boxoffice-brand-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_brand_has_its_own_name_colours_and_texts() {
    let texts = r#"{"en": {"brand": "Hall & <Sons>", "organiser.publish": "Offer"}, "ko": {"brand": "홀"}}"#;
    let folder = brand("right", &[("texts.json", texts), ("brand.css", ":root { --accent: red; }")]);
    let router = boxoffice_pages::router(Some(&folder)).unwrap();
    let page = get(&router, "/", &[]).await;
    assert!(page.text().contains("<title>Hall &amp; &lt;Sons></title>"), "{}", page.text());
    let style = addresses(page.text()).into_iter().find(|address| address.ends_with("brand.css")).unwrap();
    assert_eq!(get(&router, style, &[]).await.text(), ":root { --accent: red; }");
    let texts = style.replace("brand.css", "organiser.en.json");
    assert!(get(&router, &texts, &[]).await.text().contains(r#""organiser.publish":"Offer""#));
    let own = get(&pages(), "/", &[]).await;
    assert_ne!(addresses(own.text())[0], addresses(page.text())[0], "another version");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_brand_that_cannot_be_shown_is_refused_with_what_is_wrong() {
    for (name, file, content, said) in [
        ("unknown", "brand.scss", "", "brand.scss stands for none"),
        ("shape", "texts.json", "[]", "texts.json must be an object"),
        ("language", "texts.json", r#"{"de": {}}"#, "`de` is not shown"),
        ("key", "texts.json", r#"{"en": {"brandt": "x"}}"#, "there is no text `brandt`"),
    ] {
        let folder = brand(name, &[(file, content)]);
        let error = boxoffice_pages::router::<()>(Some(&folder)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
    let error = boxoffice_pages::router::<()>(Some(&PathBuf::from("/nowhere"))).unwrap_err().to_string();
    assert_eq!(error, "/nowhere cannot be read");
}
