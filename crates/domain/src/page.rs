//! Lists that are read page by page, by the key of the last item seen (keyset pagination): a page costs
//! the same wherever it lies, and items that come or go meanwhile shift nothing.

/// The most items of one page.
pub const PAGE_ITEMS_MAX: u32 = 100;
/// The items of a page where the caller does not say.
pub const PAGE_ITEMS_DEFAULT: u32 = 20;

/// Which page is wanted: at most `limit` items after the one with the key `after`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest<K> {
    /// The most items to give, 1 to [`PAGE_ITEMS_MAX`].
    pub limit: u32,
    /// The key of the last item that was seen; `None` for the first page.
    pub after: Option<K>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// The key to go on after; `None` where the list ends.
    pub next: Option<K>,
}

impl<K> PageRequest<K> {
    /// The first page, of at most `limit` items.
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

impl<T, K> Page<T, K> {
    /// Makes a page of rows that were read with one more than `limit`: the one too many tells that the list goes on.
    pub fn from_rows(mut items: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn the_row_too_many_tells_that_there_is_more() {
        let page = Page::from_rows(vec![1, 2, 3], 2, |n| *n);
        assert_eq!(page, Page { items: vec![1, 2], next: Some(2) });
        let page = Page::from_rows(vec![1, 2], 2, |n| *n);
        assert_eq!(page, Page { items: vec![1, 2], next: None });
    }
}
