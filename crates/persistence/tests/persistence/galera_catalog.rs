//! Instances that write to the catalog through two nodes of one Galera cluster, where no rule is protected by a lock: what
//! the rules of one node read is what the other one changes.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use boxoffice_contracts::storage::{
    PRICE_A, Stage,
    catalog_import::{catalog, import, imported_show, owned_by, performances_of},
    concert, name, new_performance, plan, venue,
};
use boxoffice_domain::{
    ConcertId,
    catalog::{
        CatalogKey, Concert, ConcertChange, ImportError, ImportReport, ImportRule, ImportedCatalog,
        ImportedPerformance, PublishError, StartError, UpdateConcertError, Venue,
    },
    fixtures::{self, TestClock, instant},
    page::PageRequest,
};
use boxoffice_persistence::{Database, migrate};
use boxoffice_testkit::galera::GaleraCluster;
use chrono::TimeDelta;
use diesel_async::{AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection};
use futures::future::{self, join_all};
use tokio::{runtime::Handle, sync::Notify, task::block_in_place};

use crate::home::{join, settings};

/// How often two writes come together.
const PAIRS: usize = 40;
/// How often the rows are doubled that a node is busy with: for about a second.
const BUSY_DOUBLINGS: u32 = 17;
/// When the performances start.
const STARTS: i64 = 1_000_000;

/// An instance at each of two nodes.
struct Nodes {
    cluster: GaleraCluster,
    one: Stage,
    other: Stage,
    databases: [Database; 2],
}

impl Nodes {
    async fn start() -> Self {
        let cluster = GaleraCluster::start().await.unwrap();
        cluster.create_database("boxoffice").await.unwrap();
        let url = |number: usize| cluster.nodes()[number].url("boxoffice");
        migrate(&url(0)).await.unwrap();
        let clock = Arc::new(TestClock::new());
        let (one, one_database) = join(&url(0), settings(), Arc::clone(&clock)).await;
        let (other, other_database) = join(&url(1), settings(), clock).await;
        Self { cluster, one, other, databases: [one_database, other_database] }
    }

    /// Concerts, each with a venue of its own, which both nodes know.
    async fn concerts(&self) -> Vec<(Concert, Venue)> {
        let (catalog, now) = (&self.one.storage.catalog, self.one.now());
        let promoter_id = self.one.account().await;
        let mut all = Vec::new();
        while all.len() < PAIRS {
            let (concert, venue) = (concert(promoter_id, now), venue(plan(), now));
            catalog.publish_venue(promoter_id, venue.clone(), None, fixtures::staff_act()).await.unwrap();
            catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.unwrap();
            all.push((concert, venue));
        }
        self.catch_up(all.last().unwrap().0.id).await;
        all
    }

    /// Waits until the other node knows a concert: what one node has written is at the other one a moment later, in the
    /// same order.
    async fn catch_up(&self, id: ConcertId) {
        while self.other.storage.catalog.concert(id).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.one.assert_sound().await;
        for database in self.databases {
            database.shutdown().await;
        }
    }
}

/// The concert with its sale opened when the performances start.
fn moved(concert: &Concert) -> Concert {
    let change = ConcertChange { sales_open_at: Some(instant(STARTS)), ..ConcertChange::default() };
    change.apply(concert, instant(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_performance_and_an_opening_after_it_at_two_nodes_one_is_refused() {
    let nodes = Nodes::start().await;
    let concerts = nodes.concerts().await;
    let publisher = concerts[0].0.promoter_id.unwrap();
    let both = concerts.iter().map(|(concert, venue)| {
        let new = new_performance(concert, venue, instant(STARTS));
        let publication = nodes.one.storage.catalog.publish_performance(publisher, new, None, fixtures::staff_act());
        future::join(publication, nodes.other.storage.catalog.update_concert(moved(concert), fixtures::staff_act()))
    });
    for (published, updated) in join_all(both).await {
        match (&published, &updated) {
            (Ok(_), Err(UpdateConcertError::VersionMismatch))
            | (Err(PublishError::Start(StartError::BeforeSale)), Ok(())) => {}
            _ => panic!("{published:?}, {updated:?}"),
        }
    }
    // A publication leaves the concert as it is for its callers.
    for (concert, _) in &concerts {
        let stored = nodes.one.storage.catalog.concert(concert.id).await.unwrap().unwrap().concert;
        assert!(stored == *concert || stored == moved(concert), "{stored:?}");
    }
    nodes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_performances_at_one_venue_at_two_nodes_one_is_refused() {
    let nodes = Nodes::start().await;
    let concerts = nodes.concerts().await;
    let publisher = concerts[0].0.promoter_id.unwrap();
    // Each takes the venue of another concert, so that the two have no concert in common.
    let both = concerts.iter().zip(concerts.iter().cycle().skip(1)).map(|((one, hall), (other, _))| {
        let starts_later = instant(STARTS) + TimeDelta::minutes(10);
        let first = new_performance(one, hall, instant(STARTS));
        let second = new_performance(other, hall, starts_later);
        let first = nodes.one.storage.catalog.publish_performance(publisher, first, None, fixtures::staff_act());
        future::join(
            first,
            nodes.other.storage.catalog.publish_performance(publisher, second, None, fixtures::staff_act()),
        )
    });
    for published in join_all(both).await {
        let ((Ok(_), Err(refused)) | (Err(refused), Ok(_))) = &published else { panic!("{published:?}") };
        assert!(matches!(refused, PublishError::Overlaps(_)), "{refused:?}");
    }
    nodes.end().await;
}

/// A catalog of its own for each number.
fn file(number: usize) -> ImportedCatalog {
    let mut file = catalog(PRICE_A);
    let key = |key: &CatalogKey| name(&format!("{key} {number}"));
    file.venues[0].key = key(&file.venues[0].key);
    file.concerts[0].key = key(&file.concerts[0].key);
    for performance in performances_of(&mut file) {
        performance.key = key(&performance.key);
    }
    file
}

/// Imports a catalog. Something else begins when the import has done with so many performances.
async fn import_beside<T>(
    stage: &Stage,
    catalog: &ImportedCatalog,
    performances_count: usize,
    act: impl Future<Output = T>,
) -> (Result<ImportReport, ImportError>, T) {
    let (to_come, reached) = (AtomicUsize::new(performances_count), Arc::new(Notify::new()));
    let notified = Arc::clone(&reached);
    let progress = move |_| {
        if to_come.fetch_sub(1, Ordering::SeqCst) == 1 {
            reached.notify_one();
        }
    };
    let options = owned_by(None);
    let import = stage.storage.import.import(catalog, &options, Arc::new(progress));
    future::join(import, async {
        notified.notified().await;
        act.await
    })
    .await
}

fn is_refused(imported: &Result<ImportReport, ImportError>, by: &ImportRule) -> bool {
    matches!(imported, Err(ImportError::Refused(refusal)) if refusal.rule == *by)
}

impl Nodes {
    /// Imports all files, and returns the concerts, which both nodes know.
    async fn import_files(&self) -> Vec<Concert> {
        for number in 0..PAIRS {
            import(&self.one, &file(number)).await.unwrap();
        }
        let page = self.one.storage.catalog.concerts(None, PageRequest::first(100)).await.unwrap();
        let concerts: Vec<_> = page.items.into_iter().map(|summary| summary.concert).collect();
        self.catch_up(concerts[PAIRS - 1].id).await;
        concerts
    }
}

/// The import changes nothing of the concert, and adds a performance that would start when the sale opens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_imported_performance_and_an_opening_after_it_at_two_nodes_one_is_refused() {
    let nodes = Nodes::start().await;
    for (number, concert) in nodes.import_files().await.into_iter().enumerate() {
        let mut file = file(number);
        let added = ImportedPerformance {
            key: name(&format!("added {number}")),
            starts_at: Some(instant(STARTS)),
            ..performances_of(&mut file)[0].clone()
        };
        performances_of(&mut file).push(added);
        file.concerts[0].sales_open_at = None;
        let update = nodes.other.storage.catalog.update_concert(moved(&concert), fixtures::staff_act());
        let (imported, updated) = import_beside(&nodes.one, &file, 1 + number % 3, update).await;
        match &updated {
            Ok(()) => assert!(is_refused(&imported, &ImportRule::Start(StartError::BeforeSale)), "{imported:?}"),
            Err(UpdateConcertError::VersionMismatch) => assert!(imported.is_ok(), "{imported:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    nodes.end().await;
}

/// Takes a node a while to apply, but for the node that writes it.
async fn keep_busy(connection: &mut AsyncMysqlConnection) {
    connection.batch_execute("UPDATE busy SET value = value + 1").await.unwrap();
}

async fn connection_to_keep_busy(nodes: &Nodes) -> AsyncMysqlConnection {
    let url = nodes.cluster.nodes()[1].url("boxoffice");
    let mut connection = AsyncMysqlConnection::establish(&url).await.unwrap();
    let table = "CREATE TABLE busy (id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT, value BIGINT NOT NULL)";
    connection.batch_execute(table).await.unwrap();
    connection.batch_execute("INSERT INTO busy (value) VALUES (0)").await.unwrap();
    for _ in 0..BUSY_DOUBLINGS {
        connection.batch_execute("INSERT INTO busy (value) SELECT value FROM busy").await.unwrap();
    }
    connection
}

/// The payment ends before the import commits, and after the import has read the seats. The node of the import has not
/// applied it by then, so its lock on the seats finds nothing out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_import_moves_nothing_that_is_paid_at_another_node() {
    let nodes = Nodes::start().await;
    import(&nodes.one, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(&nodes.one).await;
    let buyer = nodes.one.account_with(PRICE_A).await;
    let held = nodes.one.holds(&show, buyer, &["A-1-1"]).await;
    while nodes.other.storage.reservations.find(buyer, held.id).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    let mut connection = connection_to_keep_busy(&nodes).await;
    let payment = nodes.other.pay(nodes.other.pay_request(&held));
    let act: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>> = Mutex::new(Some(Box::pin(async move {
        keep_busy(&mut connection).await;
        payment.await.unwrap();
    })));
    let progress = move |_| {
        let act = act.lock().unwrap().take();
        if let Some(act) = act {
            block_in_place(|| Handle::current().block_on(act));
        }
    };
    let mut file = catalog(PRICE_A);
    performances_of(&mut file)[0].starts_at = Some(show.starts_at + TimeDelta::hours(1));
    let imported = nodes.one.storage.import.import(&file, &owned_by(None), Arc::new(progress)).await;
    assert!(is_refused(&imported, &ImportRule::Harm), "{imported:?}");
    nodes.end().await;
}
