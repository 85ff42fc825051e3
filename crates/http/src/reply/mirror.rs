//! Enums of responses that mirror an enum of the domain.

/// Converts an enum into another that has a variant of the same name for each of its variants.
macro_rules! mirror {
    ($from:ident => $to:ident: $($variant:ident),*) => {
        impl From<$from> for $to {
            fn from(value: $from) -> Self {
                match value {
                    $($from::$variant { .. } => Self::$variant,)*
                }
            }
        }
    };
}
pub(crate) use mirror;
