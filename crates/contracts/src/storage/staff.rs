//! What those who publish see: their venues with how these are drawn, and the concerts that they manage.

use boxoffice_domain::{
    AccountId, ConcertId,
    catalog::{Layout, MarkedSeat, SeatMark, SectionPlace, StagePlace, Venue, VenueSummary},
    fixtures,
};

use super::{Stage, concert, label, part, plan, show::pages, venue};

/// A layout of the plan of a show.
pub fn layout() -> Layout {
    let place = |section: &str, y: f64, angle: f64| {
        let [x, y, angle, curvature] = [-0.5, y, angle, 0.041_666].map(Into::into);
        SectionPlace { section: part(section), x, y, angle, curvature }
    };
    let mark = |seat: &str, mark| MarkedSeat { seat: label(seat), mark };
    let [x, y, width, depth] = [-6.0, -5.25, 12.0, 4.0].map(Into::into);
    Layout {
        stage: Some(StagePlace { x, y, width, depth }),
        sections: vec![place("A", 0.0, 0.0), place("B", 7.125, -12.5)],
        marks: vec![
            mark("A-1-1", SeatMark::Wheelchair),
            mark("A-1-2", SeatMark::Companion),
            mark("B-1-20", SeatMark::RestrictedView),
        ],
    }
}

impl Stage {
    async fn drawn_venue(&self, publisher: AccountId, layout: Option<Layout>) -> Venue {
        let venue = Venue { layout, ..venue(plan(), self.now()) };
        let publication = self.storage.catalog.publish_venue(publisher, venue, None, fixtures::staff_act());
        publication.await.unwrap().value
    }

    /// All venues, read in pages of two.
    async fn venues(&self) -> Vec<VenueSummary> {
        pages(2, async |page| self.storage.catalog.venues(page).await).await.concat()
    }

    /// The ids of what a promoter manages, or of all concerts, read in pages of two.
    async fn managed(&self, promoter_id: Option<AccountId>) -> Vec<ConcertId> {
        let read = async |page| self.storage.catalog.managed_concerts(promoter_id, page).await;
        pages(2, read).await.into_iter().flatten().map(|summary| summary.concert.id).collect()
    }
}

/// A venue is drawn as it was published, to six decimals, and one without a layout has none.
pub async fn a_venue_keeps_its_layout(stage: &Stage) {
    let publisher = stage.account().await;
    for layout in [Some(layout()), Some(Layout::default()), None] {
        let made = stage.drawn_venue(publisher, layout.clone()).await;
        assert_eq!(made.layout, layout);
        let stored = stage.storage.catalog.venue(made.id).await.unwrap().unwrap();
        assert_eq!((stored.layout.as_ref(), &stored), (layout.as_ref(), &made));
    }
}

/// Venues are listed with the newest first, whichever account published them.
pub async fn venues_are_listed_newest_first(stage: &Stage) {
    assert_eq!(stage.venues().await, []);
    let mut made = Vec::new();
    for _ in 0..5 {
        let publisher = stage.account().await;
        made.push(stage.drawn_venue(publisher, None).await.summary());
    }
    made.sort_by_key(|venue| std::cmp::Reverse(venue.id));
    assert_eq!(stage.venues().await, made);
}

/// A promoter has the own concerts, and the whole list has all, each with the newest first.
pub async fn concerts_are_listed_for_those_who_manage_them(stage: &Stage) {
    let (one, other, none) = (stage.account().await, stage.account().await, stage.account().await);
    let mut published = Vec::new();
    for promoter_id in [one, other, one, one, other] {
        let concert = concert(promoter_id, stage.now());
        stage.storage.catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.unwrap();
        published.push((concert.id, promoter_id));
    }
    published.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    for promoter_id in [Some(one), Some(other), Some(none), None] {
        let own = published.iter().filter(|(_, by)| promoter_id.is_none_or(|promoter_id| *by == promoter_id));
        let own: Vec<_> = own.map(|(id, _)| *id).collect();
        assert_eq!(stage.managed(promoter_id).await, own);
    }
}
