//! Upkeep: pruning of old rows, checkpoints, the service manager's watchdog.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, info, warn};

use crate::actors::router::CountAccounts;
use crate::actors::shared::Shared;
use crate::gateway::worker::RouterDesk;
