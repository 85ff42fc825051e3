//! What the server sends to webhooks, under `webhooks` of OpenAPI 3.1.

use utoipa::openapi::{
    Content, KnownFormat, ObjectBuilder, OpenApi, PathItem, PathsBuilder, Ref, Required, ResponseBuilder, Schema,
    SchemaFormat, Type,
    path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::SchemaType,
};

/// The name of the schema of an event.
const EVENT: &str = "Event";

/// Describes the request that a webhook gets.
pub(super) fn describe(document: &mut OpenApi) {
    let body = Content::new(Some(Ref::from_schema_name(EVENT)));
    let body = RequestBodyBuilder::new().content("application/json", body).required(Some(Required::True)).build();
    let accepted = "It is accepted. With any other answer, and without one within 20 seconds, it is sent again later.";
    let mut operation = OperationBuilder::new()
        .operation_id(Some("event"))
        .summary(Some("An event is sent to a webhook"))
        .description(Some("Signed as Standard Webhooks has it, with the secret of the webhook. It may come again."))
        .tag("webhooks")
        .request_body(Some(body))
        .response("2XX", ResponseBuilder::new().description(accepted).build());
    for (name, description) in [
        ("webhook-id", "The event's id, the same at each attempt"),
        ("webhook-timestamp", "When this attempt was made, in seconds"),
        ("webhook-signature", "`v1,` and base64 of an HMAC-SHA256; two of them while the secret changes"),
    ] {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
        let parameter = parameter.description(Some(description)).required(Required::True);
        operation = operation.parameter(parameter.schema(Some(ObjectBuilder::new().schema_type(Type::String))));
    }
    let mut operation = operation.build();
    // Who receives it checks the signature; none of the schemes of the API is for it.
    operation.security = Some(Vec::new());
    let paths = PathsBuilder::new().path("event", PathItem::new(HttpMethod::Post, operation));
    document.webhooks = Some(paths.build());
    if let Some(components) = &mut document.components {
        components.schemas.insert(EVENT.to_owned(), event().into());
    }
}

fn event() -> Schema {
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let formatted = |description: &str, format| text(description).format(Some(SchemaFormat::KnownFormat(format)));
    let concert = formatted("The concert; `null` if it belongs to none", KnownFormat::Uuid)
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let version = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let version = version.description(Some("The version of `data` for this kind; new fields do not change it"));
    let data = ObjectBuilder::new().schema_type(Type::Object).description(Some("What belongs to the kind"));
    let kind = "What happened, such as `reservation.held`; `webhook.test` if a test was asked for. Others may be added";
    let event = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Something that happened, for other systems to act on"))
        .property("id", formatted("The same each time the event is sent", KnownFormat::Uuid))
        .property("kind", text(kind))
        .property("version", version)
        .property("occurred_at", formatted("When it happened", KnownFormat::DateTime))
        .property("subject", formatted("What it is about, such as a reservation", KnownFormat::Uuid))
        .property("concert_id", concert)
        .property("data", data);
    let fields = ["id", "kind", "version", "occurred_at", "subject", "concert_id", "data"];
    fields.into_iter().fold(event, ObjectBuilder::required).into()
}
