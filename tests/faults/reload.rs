//! Definitions that are changed, added and taken back while everything is written to. Each change is
//! told by SIGHUP, and whoever follows it may be killed meanwhile.

use std::mem::swap;
use std::time::Duration;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;

use super::ddl::Marks;
use super::processor::{owner_changes, stands_by};
use super::scene::Scene;
use crate::support::deployment::Deployment;

/// The longest time between a change and what comes next.
const WITHIN: Duration = Duration::from_millis(1500);

/// What the view that the witness reads may have besides, and what it may go without.
const AMOUNT: (&str, &str) = ("  o.total,\n", "  o.total,\n  o.total AS amount,\n");
const COUNT: &str = "  (SELECT COUNT(*) FROM marks AS m WHERE m.order_id = o.order_id) AS marks,\n";

/// Files of views that come and go: of a table that no other may read, and of one that others do.
const COMING: [(&str, &str); 2] = [
    ("marks", "CREATE VIEW mark_sheets AS SELECT * FROM marks;"),
    ("phones", "CREATE VIEW phones AS SELECT customer_id, phone FROM customers;"),
];

/// How the views are defined.
struct Definitions {
    sheets: String,
    has_amount: bool,
    has_count: bool,
    is_there: [bool; 2],
}

impl Definitions {
    /// As they are in the beginning.
    fn new(scene: &Scene) -> Definitions {
        let sheets = scene.deployment.definition("order_sheets");
        assert!(sheets.contains(AMOUNT.0) && sheets.contains(COUNT), "{sheets}");
        Definitions { sheets, has_amount: false, has_count: true, is_there: [true, false] }
    }

    /// Changes some of them; what is changed twice is taken back.
    fn change(&mut self, scene: &mut Scene) {
        let choices = [&[0][..], &[1], &[2], &[3], &[1, 2], &[0, 3], &[0, 1, 2]];
        for which in *choices.choose(&mut scene.random).unwrap() {
            match which {
                0 => self.has_amount ^= true,
                1 => self.has_count ^= true,
                coming => self.toggle(coming - 2, &scene.deployment),
            }
        }
        let mut sheets = self.sheets.clone();
        if self.has_amount {
            sheets = sheets.replace(AMOUNT.0, AMOUNT.1);
        }
        if !self.has_count {
            sheets = sheets.replace(COUNT, "");
        }
        scene.deployment.redefine("order_sheets", Some(&sheets));
        scene.fault("definitions changed");
    }

    fn toggle(&mut self, which: usize, deployment: &Deployment) {
        let (file, statement) = COMING[which];
        self.is_there[which] ^= true;
        deployment.redefine(file, self.is_there[which].then_some(statement));
    }
}

/// Tells a process, which listens for it once it answers.
async fn tell(deployment: &mut Deployment) {
    deployment.eventually("/readyz", |status, _| status != 0).await;
    deployment.signal("-HUP");
}

pub(crate) async fn reload(scene: &mut Scene) {
    let marks = Marks::start(scene).await;
    let mut definitions = Definitions::new(scene);
    for round in 1..=scene.extent.of(8, 60) {
        definitions.change(scene);
        tell(&mut scene.deployment).await;
        scene.wait_up_to(WITHIN).await;
        if scene.random.random_bool(0.5) {
            scene.kill_viewtide();
            scene.deployment.start();
        }
        if round % 4 == 0 {
            scene.converge().await;
        }
    }
    marks.stop().await;
}

/// A standby is told, too, and takes over in the midst of it.
pub(crate) async fn reload_standby(scene: &mut Scene) {
    let marks = Marks::start(scene).await;
    let mut definitions = Definitions::new(scene);
    let mut other = scene.deployment.twin();
    for round in 1..=scene.extent.of(4, 30) {
        other.start();
        stands_by(&mut other).await;
        definitions.change(scene);
        tell(&mut other).await;
        tell(&mut scene.deployment).await;
        scene.wait_up_to(WITHIN).await;
        scene.kill_viewtide();
        owner_changes(scene).await;
        swap(&mut scene.deployment, &mut other);
        if round % 2 == 0 {
            scene.converge().await;
        }
    }
    marks.stop().await;
}
