//! Where events go when they leave the outbox.
//!
//! * [`AmqpSink`](amqp::AmqpSink) publishes them to a broker that speaks AMQP 0-9-1, such as `RabbitMQ`.
//! * [`RedisStreamSink`](redis_stream::RedisStreamSink) appends them to a stream of Redis.
//! * [`webhooks`] signs them and sends them to the endpoints of other systems.
//!
//! The sinks deliver every event at least once, and the first arrivals of a subject are in order. Nothing here keeps
//! events, or sends again what failed: that is for the caller, which has the outbox.

#![deny(missing_docs)]

pub mod amqp;
pub mod redis_stream;
pub mod tls;
pub mod webhooks;
