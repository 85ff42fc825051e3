//! Files as the programs of people write them.

use std::fs;

use boxoffice_testkit::TestFolder;

use crate::{CLUB, folder_with_database, run};

#[test]
fn a_catalog_is_read_as_the_programs_of_people_write_it() {
    let folder = folder_with_database();
    let text = fs::read_to_string(CLUB).unwrap().replace('\n', "\r\n");
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    fs::write(folder.join("mark.json"), format!("\u{feff}{text}")).unwrap();
    fs::write(folder.join("utf16.json"), [b"\xff\xfe".to_vec(), utf16(&text)].concat()).unwrap();
    fs::write(folder.join("latin1.json"), b"{\n\"venues\": [\"caf\xe9\"]}").unwrap();
    run(&folder, &["import", "mark.json"]).prints(&["venues 1 new and 0 known"]);
    run(&folder, &["import", "utf16.json"]).prints(&["venues 0 new and 1 known"]);
    run(&folder, &["import", "latin1.json"]).fails(1, &["/: line 2 is neither UTF-8", "nothing was imported"]);
}

#[test]
fn a_draw_is_verified_from_a_list_as_a_spreadsheet_writes_it() {
    let folder = TestFolder::create();
    // The example of the API guide.
    let seed = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let hash = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
    let verify = |bytes: &[u8]| {
        fs::write(folder.join("order.csv"), bytes).unwrap();
        run(&folder, &["verify-draw", "--seed-hash", hash, "--seed", seed, "order.csv"])
    };
    let list = |separator: &str, number: u64| {
        format!(
            "\"account_id\"{separator}\"draw_number\"{separator}\r\n\
             \"01890a5d-ac96-774b-bcce-b302099a8057\"{separator}{number}{separator}\r\n{separator}{separator}\r\n"
        )
    };
    let drawn = 910_953_109_159_688;
    for separator in [",", ";", "\t"] {
        let list = list(separator, drawn);
        let utf16 = list.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for bytes in
            [list.clone().into_bytes(), format!("\u{feff}{list}").into_bytes(), [b"\xff\xfe".to_vec(), utf16].concat()]
        {
            verify(&bytes).prints(&["1 accounts are in the order drawn"]);
        }
    }
    let wrong = verify(list(";", drawn + 1).as_bytes());
    assert!(wrong.code == 1 && wrong.printed.starts_with("line 2: the account 01890a5d"), "{wrong:?}");
    verify(b"account_id;draw_number\r\n\r\nx;7\r\n").fails(2, &["line 3 is not an account"]);
    // A misspelt column is not checked, which is said beside the result.
    let misspelt = list(",", drawn + 1).replace("draw_number", "drawnumber");
    let outcome = verify(misspelt.as_bytes());
    outcome.prints(&["1 accounts are in the order drawn"]);
    assert!(outcome.error.starts_with("warning: not checked: `drawnumber`"), "{outcome:?}");
    let json = format!(
        r#"{{"account_id":"01890a5d-ac96-774b-bcce-b302099a8057","draw_number":{drawn}.0,"status":"waiting"}}"#
    );
    let outcome = verify(json.as_bytes());
    outcome.prints(&["1 accounts are in the order drawn"]);
    assert!(outcome.error.starts_with("warning: not checked: `status`"), "{outcome:?}");
    verify(b"account_id,position,position\n").fails(2, &["line 1 has the column `position` twice"]);
}

#[test]
fn a_catalog_is_read_as_the_bodies_of_requests_are() {
    let folder = folder_with_database();
    let text = fs::read_to_string(CLUB).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let longest = "한".repeat(4_000);
    file["concerts"][0]["description"] = longest.as_str().into();
    file["concerts"][0]["max_active"] = 500.0.into();
    // As Python writes what macOS decomposed.
    let escaped = file.to_string().replace(&longest, &"\\u1112\\u1161\\u11ab".repeat(4_000));
    assert!(escaped.contains("500.0") && escaped.len() > 72_000);
    folder.write("catalog.json", &escaped);
    run(&folder, &["import", "catalog.json"]).prints(&["concerts 1 new and 0 known"]);
    for (broken, message) in [
        (escaped.replace("500.0", "500.5"), "/concerts/0/max_active: must be a whole number"),
        (escaped.replace("500.0", "null"), "/concerts/0/max_active: must be a whole number"),
        (format!("[{escaped}]"), "/: must be an object"),
        (String::new(), "/: the file is empty"),
        (escaped.split_once("\\u1112").unwrap().0.to_owned(), "/: the file is not JSON: it ends at line 1, column "),
    ] {
        folder.write("catalog.json", &broken);
        run(&folder, &["import", "catalog.json"]).fails(1, &[message]);
    }
}

#[test]
fn a_catalog_in_another_form_of_unicode_is_the_same_catalog() {
    let folder = folder_with_database();
    let text = fs::read_to_string(CLUB).unwrap();
    let catalog = |key: &str, title: &str| {
        let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
        file["concerts"][0]["key"] = key.into();
        file["concerts"][0]["title"] = title.into();
        folder.write("catalog.json", &file.to_string());
        run(&folder, &["import", "catalog.json"])
    };
    catalog("e\u{301}te\u{301}", "Nuit d\u{2019}e\u{301}te\u{301}").prints(&["concerts 1 new and 0 known"]);
    catalog("\u{e9}t\u{e9} ", "Nuit d\u{2019}\u{e9}t\u{e9}").prints(&["concerts 0 new and 1 known"]);
    catalog("\u{e9}t\u{e9}", "\u{200b}")
        .fails(1, &["/concerts/0/title: must not contain the invisible character U+200B"]);
}
