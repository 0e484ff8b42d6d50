//! What all sessions share, behind one `Arc`.

use std::net::IpAddr;
use std::sync::Arc;

use wharf_core::account::Account;
use wharf_core::event::{Direction, Events};
use wharf_core::storage::Stores;
use wharf_core::users::Users;

use crate::admission::{Admission, Neighbour};
use crate::lanes::Lanes;
use crate::net::Net;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::shape::{Bucket, Buckets, Shaper, bucket};
use crate::tls::{Acceptor, Tie};

pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) stores: Arc<dyn Stores>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) tls: Option<Arc<Acceptor>>,
    pub(crate) ports: Arc<Ports>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) lanes: Lanes,
    upload: Speed,
    download: Speed,
}

/// The shared limits of one direction.
struct Speed {
    all: Option<Arc<Bucket>>,
    by_address: Buckets<Neighbour>,
    by_user: Buckets<String>,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        net: Arc<dyn Net>,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
        events: Arc<dyn Events>,
    ) -> Result<Self, rustls::Error> {
        let tls = settings.tls.as_ref().map(Acceptor::new).transpose()?.map(Arc::new);
        let (range, near) = (&settings.passive.ports, &settings.passive.local_networks);
        Ok(Self {
            ports: Ports::new(range.clone(), near.clone(), tls.clone()),
            tls,
            upload: Speed::new(bucket(settings.limits.upload)),
            download: Speed::new(bucket(settings.limits.download)),
            settings: Arc::new(settings),
            net,
            users,
            stores,
            events,
            admission: Arc::default(),
            registry: Arc::default(),
            lanes: Lanes::new(),
        })
    }

    /// All limits that hold for a transfer of this account from this address.
    pub(crate) fn shaper(&self, direction: Direction, account: &Account, peer: IpAddr) -> Shaper {
        let limits = &self.settings.limits;
        let own = &account.limits;
        let (speed, address, user, transfer) = match direction {
            Direction::Upload => (
                &self.upload,
                limits.address_upload,
                own.upload.unwrap_or(limits.user_upload),
                own.transfer_upload.unwrap_or(limits.transfer_upload),
            ),
            Direction::Download => (
                &self.download,
                limits.address_download,
                own.download.unwrap_or(limits.user_download),
                own.transfer_download.unwrap_or(limits.transfer_download),
            ),
        };
        Shaper::default()
            .limited(transfer)
            .shared(speed.by_user.of(account.name.clone(), user))
            .shared(speed.by_address.of(peer.into(), address))
            .shared(speed.all.clone())
    }

    /// What nobody can guess, to tie data connections to a session.
    pub(crate) fn new_tie(&self) -> Tie {
        let mut bytes = [0; 16];
        self.net.random(&mut bytes);
        Tie(bytes)
    }
}

impl Speed {
    fn new(all: Option<Arc<Bucket>>) -> Self {
        Self { all, by_address: Buckets::new(), by_user: Buckets::new() }
    }
}
