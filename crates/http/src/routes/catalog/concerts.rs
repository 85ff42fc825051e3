use axum::{extract::State, http::HeaderMap, response::Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::{
    catalog::{ConcertKey, ConcertOrder, ConcertSearch, SearchWords, SearchWordsError},
    page::{Page, PageRequest},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::ConcertResponse;
use crate::{
    api::Api,
    json::{self, Time},
    reply::{CacheScope, ListResponse, NotModified, Problem, Tagged, Violation, refusals},
    request::{IfNoneMatch, Query, page},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcertQuery {
    /// Only those with all of these words in their title, artist or venues: at most 10 words and 100 characters. A word
    /// matches in the middle of another one. Case, accents, strokes (`ł`), ligatures (`æ`) and full width make no difference.
    #[param(example = "한여름 band")]
    q: Option<String>,
    /// Only those with a performance that starts then or later, and before `to`.
    #[param(inline)]
    from: Option<Time>,
    /// Only those with a performance that starts before, and not before `from`.
    #[param(inline)]
    to: Option<Time>,
    /// Only those whose queue can be joined now; with `false`, only those whose queue cannot.
    bookable: Option<bool>,
    /// The order: by publication if absent. `starts_at` is by the next performance, from `from` on if that is given, and
    /// else from when the first page was read; concerts without a performance to come are at the end. `-created_at` has
    /// the newest first.
    #[param(inline)]
    sort: Option<ConcertSort>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the previous page of the same list.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ConcertSort {
    StartsAt,
    SalesOpenAt,
    #[serde(rename = "-created_at")]
    NewestFirst,
}

/// A cursor goes with one search: under another, the key of a concert would stand for another place.
#[derive(Deserialize, Serialize)]
struct ConcertCursor {
    /// A digest of the search.
    list: String,
    after: ConcertKey,
}

impl ConcertQuery {
    fn parse(&self) -> Result<ConcertSearch, Problem> {
        let mut wrong = Vec::new();
        let mut refuse = |pointer: &str, code: &'static str, message: String| {
            wrong.push(Violation { pointer: pointer.to_owned(), code: code.into(), message: message.into() });
        };
        let words = self.q.as_deref().map(SearchWords::new).transpose().unwrap_or_else(|error| {
            let code = match error {
                SearchWordsError::Empty => "text_empty",
                SearchWordsError::TooLong => "text_too_long",
                SearchWordsError::TooMany => "too_many_words",
            };
            refuse("/q", code, error.to_string());
            None
        });
        for (pointer, at) in [("/from", self.from), ("/to", self.to)] {
            if let Some(Err(message)) = at.map(|at| json::in_years(at.0)) {
                refuse(pointer, "timestamp_range", message.to_owned());
            }
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| to <= from) {
            refuse("/to", "time_range", "must be later than `from`".to_owned());
        }
        if !wrong.is_empty() {
            return Err(Problem::parameters(wrong));
        }
        let order = match self.sort {
            None => ConcertOrder::Published,
            Some(ConcertSort::StartsAt) => ConcertOrder::StartsAt,
            Some(ConcertSort::SalesOpenAt) => ConcertOrder::SalesOpenAt,
            Some(ConcertSort::NewestFirst) => ConcertOrder::NewestFirst,
        };
        Ok(ConcertSearch {
            words: words.unwrap_or_default(),
            from: self.from.map(|at| at.0),
            to: self.to.map(|at| at.0),
            bookable: self.bookable,
            order,
        })
    }

    fn page(&self, list: &str) -> Result<PageRequest<ConcertKey>, Problem> {
        let page: PageRequest<ConcertCursor> = page(self.limit, self.cursor.as_deref())?;
        let after = page.after.map(|cursor| {
            let is_of_list = cursor.list == list;
            is_of_list.then_some(cursor.after).ok_or_else(|| {
                Problem::parameter("cursor", "cursor_of_other_list", "is of a list with another filter or order")
            })
        });
        Ok(PageRequest { limit: page.limit, after: after.transpose()? })
    }
}

/// A digest by which the cursors of a search are told from those of others.
fn digest(search: &ConcertSearch) -> String {
    let json = serde_json::to_vec(search).expect("a search has a JSON form");
    URL_SAFE_NO_PAD.encode(&Sha256::digest(json)[..9])
}

refusals!([LIST], []);

/// The concerts, in the order of their publication unless `sort` gives another one
#[utoipa::path(
    get, path = "/v1/concerts", tag = "catalog", operation_id = "catalog_concerts", params(ConcertQuery, IfNoneMatch),
    responses(
        (status = 200, description = "One page.", body = ListResponse<ConcertResponse>,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.concerts", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(query): Query<ConcertQuery>,
) -> Result<Response, Problem> {
    let search = query.parse()?;
    let list = digest(&search);
    let page = query.page(&list)?;
    let asked = (search.clone(), page.clone());
    let read = async {
        let Page { items, next } = api.services.catalog.concerts(&search, page).await?;
        let next = next.map(|after| ConcertCursor { list, after });
        let now = api.now();
        Tagged::of(&ListResponse::new(Page { items, next }, |view| ConcertResponse::new(view, now)))
    };
    Ok(api.reads.concerts.get(asked, None, read).await?.respond(&headers, CacheScope::Public))
}
