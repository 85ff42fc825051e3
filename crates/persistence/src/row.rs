//! Row types, each made from one list of columns, which serves their names, their reading and their binding.

/// Makes a [`Row`](crate::statement::Row) that is read: `struct SomeRow in some_table { column: Type, … }`.
///
/// One that is also written names what it is made of, and how each column is bound:
/// `struct SomeRow in some_table, from (entity: &Entity) { column: Type = entity.field, … }`.
macro_rules! row {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $row:ident in $table:ident {
            $($(#[$note:meta])* $column:ident: $kind:ty,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, diesel::Queryable, diesel::Selectable)]
        #[diesel(table_name = crate::schema::$table)]
        $visibility struct $row {
            $($(#[$note])* $visibility $column: $kind,)*
        }

        impl crate::statement::Row for $row {
            type Sql = ($(<crate::schema::$table::$column as diesel::Expression>::SqlType,)*);
            const TABLE: &'static str = stringify!($table);
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];
        }
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $row:ident in $table:ident, from ($($argument:ident: $argument_kind:ty),*) {
            $($(#[$note:meta])* $column:ident: $kind:ty = $value:expr,)*
        }
    ) => {
        crate::row::row! {
            $(#[$attribute])*
            $visibility struct $row in $table {
                $($(#[$note])* $column: $kind,)*
            }
        }

        impl $row {
            /// The values of a row, in the order of the columns.
            $visibility fn bind($($argument: $argument_kind),*) -> Vec<crate::statement::Bind> {
                vec![$(crate::statement::Bind::from($value).in_column::<$kind>()),*]
            }
        }
    };
}

pub(crate) use row;
