//! Queries.

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use boxoffice_domain::page::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, PageRequest};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::{
    json::{plain_words, pointer},
    reply::{self, Problem, Violation},
};

/// The query of a request. [`AcceptedInput`](super::AcceptedInput) has refused what the description of the route does not
/// allow; what the type still refuses gets the same form.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(_) => Err(wrong_parameters::<T>(parts.uri.query().unwrap_or_default())),
        }
    }
}

/// Finds the parameters that the type refuses: every one is optional, so each can be tried alone.
fn wrong_parameters<T: DeserializeOwned>(query: &str) -> Problem {
    let refused = |pair: &&str| {
        let alone = Uri::try_from(format!("/?{pair}"));
        alone.is_ok_and(|uri| axum::extract::Query::<T>::try_from_uri(&uri).is_err())
    };
    let violation = |pair: &str| {
        let mut pointer = String::new();
        pointer::push(&mut pointer, pair.split('=').next().unwrap_or_default());
        Violation { pointer, code: "wrong_format".into(), message: plain_words::OTHER.into() }
    };
    Problem::parameters(query.split('&').filter(refused).map(violation).collect())
}

/// The query of a list that cannot be filtered.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the previous page.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn page<K: DeserializeOwned>(&self) -> Result<PageRequest<K>, Problem> {
        page(self.limit, self.cursor.as_deref())
    }
}

/// The page that a query asks for.
pub(crate) fn page<K: DeserializeOwned>(limit: Option<i64>, cursor: Option<&str>) -> Result<PageRequest<K>, Problem> {
    let limit = u32::try_from(limit.unwrap_or(i64::from(PAGE_ITEMS_DEFAULT))).unwrap_or_default();
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Problem::parameter("limit", "range", format!("must be 1 to {PAGE_ITEMS_MAX}")));
    }
    Ok(PageRequest { limit, after: cursor.map(reply::decode).transpose()? })
}

#[cfg(test)]
mod tests {
    use axum::{http::Request, response::IntoResponse};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is only read into")]
    struct Numbers {
        one: Option<i64>,
        two: Option<bool>,
    }

    #[tokio::test]
    async fn what_only_the_type_refuses_has_the_form_of_every_bad_parameter() {
        let request = Request::get("/?one=1&two=maybe").body(()).unwrap();
        let refused = Query::<Numbers>::from_request_parts(&mut request.into_parts().0, &()).await;
        let Err(problem) = refused else { panic!("it is refused") };
        assert_eq!(problem.clone().into_response().status(), 400);
        let shown = format!("{problem:?}");
        assert!(shown.contains("\"/two\"") && !shown.contains("\"/one\"") && !shown.contains("bool"), "{shown}");
    }
}
