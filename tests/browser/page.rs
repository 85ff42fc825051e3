//! What a visitor does on a page, and what a visitor sees there: by names and texts, as they are read out.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::Command,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use boxoffice_tests::workspace;
use serde_json::{Value, json};
use thirtyfour::{Key, TypingData, WebElement, action_chain::ActionChain};

use super::session::{Browser, Screen};
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, client::Buyer, eventually, server::PASSWORD, until};

/// The visible button, link or choice of a name.
const CONTROL: &str = r#"
const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const dialog = document.querySelector("dialog[open]");
const all = [...(dialog ?? document).querySelectorAll("button, a[href], summary")];
return all.find((one) => plain(one.getAttribute("aria-label") ?? one.textContent) === arguments[0]
  && !one.disabled && one.checkVisibility()) ?? null;
"#;
/// The visible field with a label.
const FIELD: &str = r#"
const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const label = [...document.querySelectorAll("label")].find((one) => plain(one.textContent).startsWith(arguments[0])
  && one.checkVisibility());
return label?.control ?? null;
"#;
const TEXT: &str = r#"return document.body.innerText.replace(/\s+/g, " ")"#;
/// How many seats or links a keyboard passes at most on its way.
const TABS_MAX: usize = 80;

/// The source of axe.
fn axe() -> &'static str {
    static AXE: LazyLock<String> = LazyLock::new(|| {
        let install = workspace().join("tests/browser/install");
        let output = Command::new(&install).arg("--path").output().expect("the script runs");
        let path = String::from_utf8(output.stdout).expect("a path");
        fs::read_to_string(path.trim()).unwrap_or_else(|error| panic!("axe: {error}: run tests/browser/install"))
    });
    &AXE
}

impl Browser {
    /// All that can be read on the page.
    pub(super) async fn text(&self) -> String {
        self.try_run(TEXT, &[]).await.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits until a text can be read.
    pub(super) async fn sees(&self, wanted: &str) {
        let wanted = wanted.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut last = String::new();
        let seen = timeout(PATIENCE, async {
            loop {
                last = self.text().await;
                if last.contains(&wanted) {
                    return;
                }
                sleep(Duration::from_millis(30)).await;
            }
        });
        assert!(seen.await.is_ok(), "`{wanted}` cannot be read at {}, but: {last}", self.path().await);
    }

    /// Waits until a text of the pages can be read.
    pub(super) async fn sees_word(&self, name: &str) {
        self.sees(&self.words.say(name)).await;
    }

    /// Waits until the heading is this.
    pub(super) async fn sees_heading(&self, heading: &str) {
        until(&format!("the heading is `{heading}`"), async || {
            let shown = self.try_run("return document.querySelector('h1')?.textContent", &[]).await;
            shown.is_ok_and(|shown| shown == heading)
        })
        .await;
    }

    /// Waits until the address is this.
    pub(super) async fn arrives(&self, path: &str) {
        until(&format!("the address is {path}"), async || self.path().await.starts_with(path)).await;
    }

    async fn control(&self, name: &str) -> WebElement {
        eventually(&format!("there is `{name}`"), async || self.element(CONTROL, &[json!(name)]).await).await
    }

    pub(super) async fn has_control(&self, name: &str) -> bool {
        self.element(CONTROL, &[json!(name)]).await.is_some()
    }

    /// Presses the button or link of a name, with the mouse or with a finger.
    pub(super) async fn press(&self, name: &str) {
        eventually(&format!("`{name}` is pressed"), async || {
            // Pages redraw themselves, so what was found may be gone.
            let control = self.control(name).await;
            let pressed = if self.screen.is_phone { self.tap(&control).await } else { control.click().await.is_ok() };
            pressed.then_some(())
        })
        .await;
    }

    /// Presses a button twice, as fast as a nervous hand.
    pub(super) async fn press_twice(&self, name: &str) {
        let button = self.control(name).await;
        self.actions().double_click_element(&button).perform().await.expect("it is pressed twice");
    }

    /// Presses what has a text of the pages as its name.
    pub(super) async fn press_word(&self, name: &str) {
        self.press(&self.words.say(name)).await;
    }

    /// Touches the middle of an element, if that is what lies there.
    async fn tap(&self, element: &WebElement) -> bool {
        let script = r#"
            const [element] = arguments;
            element.scrollIntoView({ block: "center", behavior: "instant" });
            const box = element.getBoundingClientRect();
            const at = [box.left + box.width / 2, box.top + box.height / 2];
            return element.contains(document.elementFromPoint(...at)) ? at : null;
        "#;
        let Ok(element) = element.to_json() else { return false };
        let Ok(Value::Array(at)) = self.try_run(script, &[element]).await else { return false };
        self.touch(at[0].as_f64().expect("a number"), at[1].as_f64().expect("a number")).await;
        true
    }

    /// Touches a point of the screen.
    pub(super) async fn touch(&self, x: f64, y: f64) {
        self.command("Input.dispatchTouchEvent", json!({"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}))
            .await;
        self.command("Input.dispatchTouchEvent", json!({"type": "touchEnd", "touchPoints": []})).await;
    }

    /// Writes into the field with a label.
    pub(super) async fn enter(&self, label: &str, text: &str) {
        let what = format!("there is `{label}`");
        let field = eventually(&what, async || self.element(FIELD, &[json!(label)]).await).await;
        field.clear().await.expect("it can be emptied");
        field.send_keys(text).await.expect("it can be written into");
    }

    /// Gives the field with a label a value at once, as the browser's own choice of a time does.
    pub(super) async fn set(&self, label: &str, value: &str) {
        let what = format!("there is `{label}`");
        eventually(&what, async || self.element(FIELD, &[json!(label)]).await).await;
        let script = FIELD.replace("return label?.control", "label.control.value = arguments[1]; return label.control");
        self.run(&script, &[json!(label), json!(value)]).await;
    }

    /// Presses keys, wherever they go.
    pub(super) async fn type_keys(&self, keys: impl Into<TypingData>) {
        let keys: TypingData = keys.into();
        self.actions().send_keys(keys).perform().await.expect("keys are pressed");
    }

    /// What fingers and hands do, without waiting between two acts.
    fn actions(&self) -> ActionChain {
        self.web().action_chain_with_delay(Some(Duration::ZERO), Some(Duration::ZERO))
    }

    /// Presses a point of the screen with the mouse.
    pub(super) async fn click(&self, x: f64, y: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "screens have few pixels")]
        let (x, y) = (x.round() as i64, y.round() as i64);
        self.actions().move_to(x, y).click().perform().await.expect("the mouse is pressed");
    }

    /// Goes from control to control with the keyboard until one has this name. Each must show that it has the focus.
    pub(super) async fn tab_to(&self, name: &str) {
        let script = r#"
            const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim();
            const one = document.activeElement;
            const label = one.labels?.[0]?.firstChild?.textContent;
            const outlined = (at) => getComputedStyle(at).outlineStyle !== "none";
            // Of a card that is a link, the whole card shows it.
            const shown = outlined(one) || [...document.querySelectorAll(".card")].some((at) => at.contains(one) && outlined(at));
            return [plain(one.getAttribute("aria-label") ?? label ?? one.textContent), shown];
        "#;
        // The control may come a moment after the view.
        let mut passed = BTreeSet::new();
        for _ in 0..TABS_MAX {
            self.type_keys(Key::Tab).await;
            let focused = self.run(script, &[]).await;
            let at = focused[0].as_str().unwrap_or_default();
            if at == name {
                assert_eq!(focused[1], true, "`{name}` does not show that it has the focus");
                return;
            }
            passed.insert(at.to_owned());
        }
        panic!("the keyboard does not come to `{name}`, but to {passed:?}");
    }

    /// Opens a path in the session of a buyer: the browser gets the refresh cookie of the buyer first.
    pub(super) async fn open_as(&self, buyer: &Buyer, path: &str) {
        self.open_at_as(self.origin(), buyer, path).await;
    }

    pub(super) async fn open_at_as(&self, origin: &str, buyer: &Buyer, path: &str) {
        let url = format!("{origin}/v1/sessions");
        let cookie = json!({"name": "boxoffice_refresh", "value": buyer.refresh_token, "url": url,
            "path": "/v1/sessions", "httpOnly": true, "sameSite": "Strict"});
        self.command("Network.setCookie", cookie).await;
        self.open_at(origin, "/healthz").await;
        self.run("localStorage.setItem('boxoffice-signed-in', '')", &[]).await;
        self.open_at(origin, path).await;
    }

    /// Fills and sends the form that signs in.
    pub(super) async fn sign_in(&self, login_id: &str) {
        self.enter(&self.words.say("sign.login_id"), login_id).await;
        self.enter(&self.words.say("sign.password"), PASSWORD).await;
        self.submit().await;
    }

    /// Sends the form of the view.
    pub(super) async fn submit(&self) {
        let button = r#"return document.querySelector("main form button[type=submit]:enabled")"#;
        let button = eventually("there is a button to send", async || self.element(button, &[]).await).await;
        button.click().await.expect("it is pressed");
    }

    /// Lets the page believe that another tab is in front, so that it looks nothing up by itself.
    pub(super) async fn pretend_hidden(&self, is_hidden: bool) {
        let script = "Object.defineProperty(document, 'hidden', { get: () => arguments[0], configurable: true })";
        self.run(&script.replace("arguments[0]", &is_hidden.to_string()), &[]).await;
    }

    /// Waits until the beginning of a text of the pages cannot be read any more.
    pub(super) async fn no_longer_sees_beginning(&self, name: &str) {
        let text = self.words.beginning(name);
        until(&format!("`{text}` is gone"), async || !self.text().await.contains(&text)).await;
    }

    /// What axe finds.
    pub(super) async fn violations(&self) -> Value {
        if self.run("return typeof axe", &[]).await == "undefined" {
            self.run(axe(), &[]).await;
        }
        let script = r#"
            const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
            const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags } });
            return violations.map(({ id, help, nodes }) => [id, help, ...nodes.slice(0, 3).map(({ html, failureSummary }) =>
              `${html.slice(0, 200)} ${failureSummary}`)]);
        "#;
        self.run_async(script, &[]).await
    }

    /// Checks what is shown: axe finds nothing, and the page is not wider than the screen.
    pub(super) async fn look(&self, name: &str) {
        let violations = self.violations().await;
        assert_eq!(violations, json!([]), "axe found in `{name}`: {violations:#}");
        let wide = "const page = document.documentElement; return page.scrollWidth - page.clientWidth";
        assert_eq!(self.run(wide, &[]).await, 0, "`{name}` is wider than the screen");
        if let Some(folder) = screenshots() {
            self.take_picture(folder, name).await;
        }
    }

    pub(super) async fn take_picture(&self, folder: &PathBuf, name: &str) {
        fs::create_dir_all(folder).expect("a folder for the pictures");
        let picture = self.web().screenshot_as_png().await.expect("a picture");
        fs::write(folder.join(format!("{}.png", name.replace(' ', "-"))), picture).expect("it is written");
    }

    /// Takes a picture of a page from its top to the end of an element, in half its size.
    pub(super) async fn take_picture_to(&self, selector: &str, name: &str) {
        let Some(folder) = screenshots() else { return };
        self.resize(Screen { height: 3_000, ..self.screen }).await;
        // What is seen for the first time is drawn with the next frames.
        let end = "for (let frame = 0; frame < 30; frame++) await new Promise(requestAnimationFrame);
            return document.querySelector(given[0]).getBoundingClientRect().bottom + 24";
        let height = self.run_async(end, &[json!(selector)]).await;
        let clip = json!({"x": 0, "y": 0, "width": self.screen.width, "height": height, "scale": 0.5});
        let wanted = json!({"format": "png", "clip": clip});
        let taken = self.command("Page.captureScreenshot", wanted).await;
        let picture = BASE64_STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("it is in Base64");
        fs::create_dir_all(folder).expect("a folder for the pictures");
        fs::write(folder.join(format!("{}.png", name.replace(' ', "-"))), picture).expect("it is written");
        self.resize(self.screen).await;
    }
}

/// The folder for pictures, if they are wanted.
pub(super) fn screenshots() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = || std::env::var_os("TEST_SCREENSHOTS").filter(|path| !path.is_empty()).map(PathBuf::from);
    FOLDER.get_or_init(folder).as_ref()
}
