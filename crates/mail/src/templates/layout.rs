//! What all mails look like: the same content as plain text and as an HTML document.
//!
//! Every mail has the same few parts, so plain code is less than the two templates for each kind and language that a
//! library would need.

use std::fmt::Write;

use boxoffice_domain::mail::MailLanguage;

/// The content of a mail. None of its texts is HTML.
pub(super) struct Content {
    pub(super) language: MailLanguage,
    pub(super) subject: String,
    pub(super) greeting: String,
    pub(super) lead: String,
    pub(super) facts: Vec<Fact>,
    /// What the reader types in somewhere.
    pub(super) code: Option<String>,
    pub(super) after: String,
    pub(super) link: Option<Link>,
    pub(super) footer: String,
}

/// A value with its name.
pub(super) struct Fact {
    pub(super) label: String,
    pub(super) value: String,
}

/// Where the reader may go on.
pub(super) struct Link {
    pub(super) label: String,
    pub(super) url: String,
}

/// The content as plain text.
pub(super) fn text(content: &Content) -> String {
    let mut blocks = vec![content.greeting.clone(), content.lead.clone()];
    if !content.facts.is_empty() {
        let lines: Vec<_> = content.facts.iter().map(|Fact { label, value }| format!("{label}: {value}")).collect();
        blocks.push(lines.join("\n"));
    }
    blocks.extend(content.code.as_ref().map(|code| format!("    {code}")));
    blocks.extend(content.link.as_ref().map(|Link { label, url }| format!("{label}:\n{url}")));
    blocks.push(content.after.clone());
    // Mail programs know a signature by this line (RFC 3676, section 4.3).
    format!("{}\n\n-- \n{}\n", blocks.join("\n\n"), content.footer)
}

/// The content as an HTML document, with its style in place, since mail programs drop style sheets.
pub(super) fn html(content: &Content) -> String {
    let language = content.language.as_str();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n</head>\n\
         <body style=\"margin:0;padding:24px;font-family:sans-serif;line-height:1.5\">\n\
         <div style=\"max-width:560px;margin:0 auto\">\n",
        escaped(&content.subject)
    );
    paragraph(&mut html, "", &escaped(&content.greeting));
    paragraph(&mut html, "", &escaped(&content.lead));
    if !content.facts.is_empty() {
        html.push_str("<table style=\"border-collapse:collapse\">\n");
        for Fact { label, value } in &content.facts {
            let (label, value) = (escaped(label), escaped(value));
            // Names in scripts that run to the left do not turn what is beside them.
            add(&mut html, format_args!("<tr><th scope=\"row\" style=\"{LABEL_STYLE}\">{label}</th>"));
            add(&mut html, format_args!("<td dir=\"auto\" style=\"{VALUE_STYLE}\">{value}</td></tr>\n"));
        }
        html.push_str("</table>\n");
    }
    if let Some(code) = &content.code {
        paragraph(&mut html, CODE_STYLE, &escaped(code));
    }
    if let Some(Link { label, url }) = &content.link {
        paragraph(&mut html, "", &format!("<a href=\"{}\">{}</a>", escaped(url), escaped(label)));
    }
    paragraph(&mut html, "", &escaped(&content.after));
    paragraph(&mut html, FOOTER_STYLE, &escaped(&content.footer));
    html.push_str("</div>\n</body>\n</html>\n");
    html
}

const LABEL_STYLE: &str = "padding:4px 16px 4px 0;text-align:left;vertical-align:top;font-weight:normal;color:#666";
const VALUE_STYLE: &str = "padding:4px 0;overflow-wrap:anywhere";
const CODE_STYLE: &str = "font-size:24px;font-weight:bold;letter-spacing:2px;overflow-wrap:anywhere";
const FOOTER_STYLE: &str = "color:#666;font-size:13px";

/// Adds a paragraph whose content is HTML.
fn paragraph(html: &mut String, style: &str, content: &str) {
    match style {
        "" => add(html, format_args!("<p>{content}</p>\n")),
        style => add(html, format_args!("<p style=\"{style}\">{content}</p>\n")),
    }
}

fn add(html: &mut String, arguments: std::fmt::Arguments<'_>) {
    html.write_fmt(arguments).expect("a string takes every text");
}

/// The text as HTML that shows it, in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_html_gives_a_meaning_is_escaped() {
        assert_eq!(escaped("<a href='x'>\"&amp;\"</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;amp;&quot;&lt;/a&gt;");
    }
}
