//! What several operations have alike, described once.

use std::collections::BTreeMap;

use utoipa::openapi::{
    Header, OpenApi, Ref, RefOr,
    path::{Parameter, ParameterIn},
};

use super::operations_of;

/// The key of the response with the status 304 among the components.
const NOT_MODIFIED: &str = "NotModified";

/// Values that occur in the document, each with how often it does.
struct Occurrences<T>(Vec<(String, T, usize)>);

impl<T: Clone + PartialEq> Occurrences<T> {
    fn count<'t>(values: impl Iterator<Item = (String, &'t T)>) -> Self
    where
        T: 't,
    {
        let mut counted: Vec<(String, T, usize)> = Vec::new();
        for (key, value) in values {
            match counted.iter_mut().find(|(_, known, _)| known == value) {
                Some((_, _, count)) => *count += 1,
                None => counted.push((key, value.clone(), 1)),
            }
        }
        Self(counted)
    }

    /// Those that occur most often of all that have the same key, and more than once.
    fn shared(self) -> BTreeMap<String, T> {
        let mut shared: BTreeMap<String, (T, usize)> = BTreeMap::new();
        for (key, value, count) in self.0.into_iter().filter(|(_, _, count)| *count > 1) {
            if shared.get(&key).is_none_or(|(_, most)| *most < count) {
                shared.insert(key, (value, count));
            }
        }
        shared.into_iter().map(|(key, (value, _))| (key, value)).collect()
    }
}

/// Refers to the value among the components, if it is there.
fn refer<T: PartialEq>(place: &mut RefOr<T>, key: &str, shared: &BTreeMap<String, T>, kind: &str) {
    if let RefOr::T(value) = place
        && shared.get(key) == Some(value)
    {
        *place = RefOr::Ref(Ref::new(format!("#/components/{kind}/{key}")));
    }
}

/// The key of a parameter among the components.
fn key_of(parameter: &Parameter) -> String {
    let Parameter { name, parameter_in, description, .. } = parameter;
    match parameter_in {
        ParameterIn::Path => {
            let what = description.as_deref().unwrap_or_default().trim_start_matches("The ");
            format!("{}-{name}", what.replace(' ', "-"))
        }
        ParameterIn::Header if parameter.required != utoipa::openapi::Required::True => format!("Optional-{name}"),
        _ => name.clone(),
    }
}

/// Describes parameters that several operations take among the components.
pub(super) fn share_parameters(document: &mut OpenApi) {
    let operations = document.paths.paths.values_mut().flat_map(operations_of);
    let mut places: Vec<_> = operations.flat_map(|operation| operation.parameters.iter_mut().flatten()).collect();
    let inline = places.iter().filter_map(|place| match place {
        RefOr::T(parameter) => Some((key_of(parameter), parameter)),
        RefOr::Ref(_) => None,
    });
    let shared = Occurrences::count(inline).shared();
    for place in &mut places {
        if let RefOr::T(parameter) = place {
            let key = key_of(parameter);
            refer(place, &key, &shared, "parameters");
        }
    }
    let components = document.components.get_or_insert_default();
    components.parameters.extend(shared.into_iter().map(|(key, parameter)| (key, parameter.into())));
}

/// Describes the response to a client that has the current one among the components.
pub(super) fn share_not_modified(document: &mut OpenApi) {
    let operations = document.paths.paths.values_mut().flat_map(operations_of);
    let mut places: Vec<_> = operations.filter_map(|operation| operation.responses.responses.get_mut("304")).collect();
    let inline = places.iter().filter_map(|place| match place {
        RefOr::T(response) => Some((NOT_MODIFIED.to_owned(), response)),
        RefOr::Ref(_) => None,
    });
    let shared = Occurrences::count(inline).shared();
    for place in &mut places {
        refer(place, NOT_MODIFIED, &shared, "responses");
    }
    let components = document.components.get_or_insert_default();
    components.responses.extend(shared.into_iter().map(|(key, response)| (key, response.into())));
}

/// Describes header fields that several responses have among the components.
pub(super) fn share_headers(document: &mut OpenApi) {
    let operations = document.paths.paths.values_mut().flat_map(operations_of);
    let of_operations = operations.flat_map(|operation| operation.responses.responses.values_mut());
    let components = document.components.get_or_insert_default();
    let responses = of_operations.chain(components.responses.values_mut()).filter_map(|response| match response {
        RefOr::T(response) => Some(response),
        RefOr::Ref(_) => None,
    });
    let mut places: Vec<(&String, &mut RefOr<Header>)> = responses.flat_map(|response| &mut response.headers).collect();
    let inline = places.iter().filter_map(|(name, place)| match place {
        RefOr::T(header) => Some(((*name).clone(), header)),
        RefOr::Ref(_) => None,
    });
    let shared = Occurrences::count(inline).shared();
    for (name, place) in &mut places {
        refer(place, name, &shared, "headers");
    }
    components.headers.extend(shared.into_iter().map(|(name, header)| (name, header.into())));
}
