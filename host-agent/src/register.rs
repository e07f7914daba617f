//! The folder of one device: its id, kept beside its fence.
//!
//! ```text
//!   DATA/devices/NAME/fence.json                                  fence.rs; the first file
//!                     device.json   {"id": "…", "fenced": true}   made when the device is first configured
//!                     holder.json                                 device/holder.rs
//!                     baseline.json                               reset/baseline.rs
//! ```
//!
//! Where there is an id there was a fence: one that is gone then is a damage and not a new device. The folder is on the
//! disk, with everything on the way to it, before anything in it counts.
//!
//! A device is known by the name that the operator gave it, not by `ro.serialno`: containers of one image all
//! carry the same serial number, and an address changes with a restart. It does not know what the device is.

use std::fs::{self, File};
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
    /// Whether the fence was written before. Agents of before wrote it when they first raised it.
    #[serde(default)]
    fenced: bool,
}

/// Opens the device's folder below `data`; makes it, with a new id, when there is none.
pub(crate) fn open(data: &Path, name: &DeviceName) -> Result<Entry, RegisterError> {
    let folder = data.join("devices").join(name.as_str());
    let file = |source| RegisterError::File {
        path: folder.clone(),
        source,
    };
    make(data, &folder).map_err(file)?;
    let row: Option<Row> = match disk::read(&folder, FILE).map_err(file)? {
        Some(bytes) => {
            let row = serde_json::from_slice(&bytes).map_err(|error| RegisterError::Damaged {
                path: folder.clone(),
                reason: error.to_string(),
            })?;
            Some(row)
        }
        None => None,
    };
    let (id, fence) = match row {
        Some(Row { id, fenced: true }) => (id, Fence::open(&folder)?),
        row => {
            let id = row.map_or_else(|| DeviceId::from_uuid(Uuid::now_v7()), |row| row.id);
            let fence = Fence::first(&folder)?;
            let bytes = serde_json::to_vec(&Row { id, fenced: true }).expect("an id is JSON");
            disk::replace(&folder, FILE, &bytes).map_err(file)?;
            (id, fence)
        }
    };
    let holder = HolderFile::open(&folder, fence.mark()).map_err(file)?;
    let baseline = Baseline::open(&folder, fence.mark().may_be_surveyed()).map_err(file)?;
    Ok(Entry {
        id,
        fence,
        holder,
        baseline,
    })
}

/// Makes the folder, and returns once the disk has it and what leads to it from `data` on: a name is on the disk only
/// when the folder that holds it is.
fn make(data: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let above = folder.ancestors().skip(1);
    let above = above.take_while(|path| path.starts_with(data));
    for path in above {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        File::open(path)?.sync_all()?;
    }
    Ok(())
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
    fn a_device_whose_fence_is_gone_is_not_taken_for_one_that_nobody_has_used() {
        let data = tempfile::tempdir().unwrap();
        let name: DeviceName = "one".parse().unwrap();
        drop(open(data.path(), &name).unwrap());
        fs::remove_file(data.path().join("devices/one/fence.json")).unwrap();
        assert!(matches!(
            open(data.path(), &name),
            Err(RegisterError::Fence(FenceError::Unreadable { .. }))
        ));
    }

    #[test]
    fn a_folder_of_an_agent_that_wrote_no_fence_before_it_raised_one_gets_its_fence() {
        let data = tempfile::tempdir().unwrap();
        let name: DeviceName = "one".parse().unwrap();
        let folder = data.path().join("devices/one");
        fs::create_dir_all(&folder).unwrap();
        let id = DeviceId::from_uuid(Uuid::from_u128(1));
        fs::write(folder.join(FILE), format!(r#"{{"id":"{id}"}}"#)).unwrap();
        assert_eq!(open(data.path(), &name).unwrap().id, id);
        fs::remove_file(folder.join("fence.json")).unwrap();
        assert!(open(data.path(), &name).is_err(), "from now on it is missed");
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
