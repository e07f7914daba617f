//! The apps that come with the device, and those that are installed: their packages and labels.
//!
//! What they look like is in `screen`, what they do with input in `android::input`.

/// An app that the device can draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum App {
    /// Icons of the others; where HOME leads.
    Launcher,
    /// A stroke per finger, a colour per pointer.
    Paint,
    /// Shows the text that is typed.
    Echo,
    /// A page that never changes.
    Still,
    /// A page that moves with every picture.
    Motion,
    /// A target that turns over at every touch, with a barcode.
    Latency,
    /// An installed package, by its name: a plain page that shows what it is called.
    Installed(&'static str),
}

impl App {
    /// All that come with the device, in the order of the launcher.
    pub const ALL: [Self; 6] = [
        Self::Launcher,
        Self::Paint,
        Self::Echo,
        Self::Still,
        Self::Motion,
        Self::Latency,
    ];

    /// The package name.
    pub fn package(self) -> &'static str {
        match self {
            Self::Launcher => "dev.farglass.launcher",
            Self::Paint => "dev.farglass.paint",
            Self::Echo => "dev.farglass.echo",
            Self::Still => "dev.farglass.still",
            Self::Motion => "dev.farglass.motion",
            Self::Latency => "dev.farglass.latency",
            Self::Installed(package) => package,
        }
    }

    /// The app of a package.
    pub fn of_package(package: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|app| app.package() == package)
    }

    /// The name under the icon.
    pub fn label(self) -> &'static str {
        match self {
            Self::Launcher => "Launcher",
            Self::Paint => "Paint",
            Self::Echo => "Echo",
            Self::Still => "Still",
            Self::Motion => "Motion",
            Self::Latency => "Latency",
            Self::Installed(package) => package,
        }
    }
}
