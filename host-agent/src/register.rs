//! The folder of one device: its id, kept beside its fence.
//!
//! ```text
//!   DATA/devices/NAME/device.json   {"id": "…"}     made when the device is first configured, never changed
//!                     fence.json                    fence.rs
//!                     holder.json                   device/holder.rs
//!                     baseline.json                 reset/baseline.rs
//! ```
//!
//! A device is known by the name that the operator gave it, not by `ro.serialno`: containers of one image all
//! carry the same serial number, and an address changes with a restart. It does not know what the device is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::DeviceId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::DeviceName;
use crate::device::HolderFile;
use crate::disk;
use crate::fence::{Fence, FenceError};
use crate::reset::baseline::Baseline;

const FILE: &str = "device.json";

/// A device's folder cannot be used. A person has to look.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The folder or a file in it.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The id in it is damaged.
    #[error("the device id in {} cannot be read: {reason}", path.display())]
    Damaged {
        /// Which folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The fence in it.
    #[error(transparent)]
    Fence(#[from] FenceError),
}

/// What is kept of a device.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: DeviceId,
    pub(crate) fence: Fence,
    pub(crate) holder: HolderFile,
    pub(crate) baseline: Baseline,
}

#[derive(Serialize, Deserialize)]
struct Row {
    id: DeviceId,
}

/// Opens the device's folder below `data`; makes it, with a new id, when there is none.
pub(crate) fn open(data: &Path, name: &DeviceName) -> Result<Entry, RegisterError> {
    let folder = data.join("devices").join(name.as_str());
    let file = |source| RegisterError::File {
        path: folder.clone(),
        source,
    };
    fs::create_dir_all(&folder).map_err(file)?;
    let id = match disk::read(&folder, FILE).map_err(file)? {
        Some(bytes) => {
            let row: Row = serde_json::from_slice(&bytes).map_err(|error| RegisterError::Damaged {
                path: folder.clone(),
                reason: error.to_string(),
            })?;
            row.id
        }
        None => {
            let id = DeviceId::from_uuid(Uuid::now_v7());
            let bytes = serde_json::to_vec(&Row { id }).expect("an id is JSON");
            disk::replace(&folder, FILE, &bytes).map_err(file)?;
            id
        }
    };
    let fence = Fence::open(&folder)?;
    let holder = HolderFile::open(&folder, fence.mark()).map_err(file)?;
    let baseline = Baseline::open(&folder, fence.mark().may_be_surveyed()).map_err(file)?;
    Ok(Entry {
        id,
        fence,
        holder,
        baseline,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_id_and_its_fence() {
        let data = tempfile::tempdir().unwrap();
        let name: DeviceName = "one".parse().unwrap();
        let mut first = open(data.path(), &name).unwrap();
        let raised = first.fence.mark().raised(protocol::Epoch(5)).unwrap();
        first.fence.keep(raised.unwrap()).unwrap();
        let again = open(data.path(), &name).unwrap();
        assert_eq!(
            (again.id, again.fence.mark().epoch),
            (first.id, protocol::Epoch(5))
        );
        assert_ne!(open(data.path(), &"two".parse().unwrap()).unwrap().id, first.id);
    }

    #[test]
    fn a_damaged_id_is_not_replaced_by_a_new_one() {
        let data = tempfile::tempdir().unwrap();
        let name: DeviceName = "one".parse().unwrap();
        open(data.path(), &name).unwrap();
        fs::write(data.path().join("devices/one").join(FILE), b"{").unwrap();
        assert!(matches!(
            open(data.path(), &name),
            Err(RegisterError::Damaged { .. })
        ));
    }
}
