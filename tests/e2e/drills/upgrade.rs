//! Instances of the previous version are replaced while buyers use them, and put back.

use std::{env, path::PathBuf};

use boxoffice_testkit::servers::{DatabaseServer, RedisServer, ServerKind};
use boxoffice_tests::binary;
use tokio::time::sleep;

use super::stage::{DATABASE, INSTANCES, Stage, lasts};
use crate::support::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the previous program, which `make drills` builds"]
async fn an_upgrade_that_is_reverted_and_done_again() {
    let previous = PathBuf::from(env::var_os("BOXOFFICE_PREVIOUS_BIN").expect("`tests/drills` sets it"));
    let database = DatabaseServer::start(ServerKind::MariaDb).await.expect("a private server");
    database.create_database(DATABASE).await.expect("a database");
    let redis = RedisServer::start().await.expect("a private Redis");
    let (urls, redis_url) = (vec![database.url(DATABASE); INSTANCES], redis.url());
    let fleet = Fleet::of_program(&previous, urls, redis, &redis_url, &[]).await;
    let mut stage = Stage::with("An upgrade, reverted and done again", fleet, database).await;

    stage.phase("the schema is migrated");
    let (status, output, error) = stage.fleet.instances[0].run_program(binary(), &["migrate"], &[]).await;
    assert_eq!(status, 0, "{output}{error}");
    assert!(!output.is_empty(), "{error}");
    stage.note(format!("`boxoffice migrate` of the new program: {}", output.trim_end()));
    sleep(lasts(2, 15)).await;
    let phases = [
        ("the instances are replaced", binary().to_owned()),
        ("the previous ones are put back", previous),
        ("they are replaced again", binary().to_owned()),
    ];
    for (phase, program) in &phases {
        stage.phase(phase);
        for index in 0..INSTANCES {
            stage.fleet.instances[index].program.clone_from(program);
            stage.fleet.restart(index).await;
            sleep(lasts(1, 10)).await;
        }
    }
    for phase in ["the schema is migrated"].into_iter().chain(phases.iter().map(|(phase, _)| *phase)) {
        let failures = stage.failures(phase);
        assert!(failures.answered > 0, "{phase}");
        assert_eq!((failures.unavailable, failures.unanswered), (0, 0), "{phase}: {failures:?}");
    }
    stage.end().await;
}
