//! The settings of a meeting that can be changed: one table, one row per setting.
//!
//! The same row serves the way in (protobuf number to REST value), the `update` command (flag to
//! protobuf number) and the sandbox (which REST values are allowed). A new setting is a field in
//! the proto and a row here.

use crate::proto::v1::UpdateStartedConfConfigRequest as Request;

/// One setting, by all its names.
#[derive(Debug)]
pub struct Setting {
    /// Field of the protobuf request.
    pub field: &'static str,
    /// Flag of `update`: the field with hyphens.
    pub flag: &'static str,
    /// Key in the JSON body of the REST call.
    pub key: &'static str,
    /// What it does, for help texts.
    pub about: &'static str,
    /// REST number of a new meeting in the sandbox: the documented default where there is one.
    pub default: u8,
    /// Each value's name and REST number, in the order of the protobuf numbers from 1.
    pub values: &'static [(&'static str, u8)],
    get: fn(&Request) -> i32,
    set: fn(&mut Request, i32),
}

/// All settings, in the order of their protobuf fields. The first two are documented everywhere, the
/// others for the Chinese mainland site alone.
pub const SETTINGS: [Setting; 10] = [
    Setting {
        field: "lock_sharing",
        flag: "lock-sharing",
        key: "lockSharing",
        about: "Whether screen sharing is locked",
        default: 0,
        values: &[("unlocked", 0), ("locked", 1)],
        get: |request| request.lock_sharing,
        set: |request, number| request.lock_sharing = number,
    },
    Setting {
        field: "call_in_restriction",
        flag: "call-in-restriction",
        key: "callInRestriction",
        about: "Who may join the meeting",
        default: 0,
        values: &[("everyone", 0), ("enterprise", 2), ("invited", 3)],
        get: |request| request.call_in_restriction,
        set: |request, number| request.call_in_restriction = number,
    },
    Setting {
        field: "is_lock",
        flag: "is-lock",
        key: "isLock",
        about: "Whether the meeting itself is locked for guests",
        default: 0,
        values: &[("unlocked", 0), ("locked", 1)],
        get: |request| request.is_lock,
        set: |request, number| request.is_lock = number,
    },
    Setting {
        field: "allow_unmute_by_oneself",
        flag: "allow-unmute-by-oneself",
        key: "allowUnmuteByOneself",
        about: "Whether participants may unmute themselves",
        default: 1,
        values: &[("denied", 0), ("allowed", 1)],
        get: |request| request.allow_unmute_by_oneself,
        set: |request, number| request.allow_unmute_by_oneself = number,
    },
    Setting {
        field: "chat_permission",
        flag: "chat-permission",
        key: "chatPermission",
        about: "Who may chat with whom",
        default: 4,
        values: &[("nobody", 1), ("private", 2), ("public", 3), ("free", 4)],
        get: |request| request.chat_permission,
        set: |request, number| request.chat_permission = number,
    },
    Setting {
        field: "audience_call_in_restriction",
        flag: "audience-call-in-restriction",
        key: "audienceCallInRestriction",
        about: "Who may join as audience of a webinar",
        default: 0,
        values: &[("everyone", 0), ("enterprise", 2)],
        get: |request| request.audience_call_in_restriction,
        set: |request, number| request.audience_call_in_restriction = number,
    },
    Setting {
        field: "client_rec_mode",
        flag: "client-rec-mode",
        key: "clientRecMode",
        about: "Who may record on their own device",
        default: 0,
        values: &[("host", 0), ("everyone", 1), ("some", 2)],
        get: |request| request.client_rec_mode,
        set: |request, number| request.client_rec_mode = number,
    },
    Setting {
        field: "allow_open_camera",
        flag: "allow-open-camera",
        key: "allowOpenCamera",
        about: "Whether participants may turn on their own camera",
        default: 1,
        values: &[("denied", 0), ("allowed", 1)],
        get: |request| request.allow_open_camera,
        set: |request, number| request.allow_open_camera = number,
    },
    Setting {
        field: "allow_rename",
        flag: "allow-rename",
        key: "allowRename",
        about: "Whether participants may rename themselves",
        default: 1,
        values: &[("denied", 0), ("allowed", 1)],
        get: |request| request.allow_rename,
        set: |request, number| request.allow_rename = number,
    },
    Setting {
        field: "free_share",
        flag: "free-share",
        key: "freeShare",
        about: "Who may take over sharing",
        default: 1,
        values: &[("hosts", 0), ("everyone", 1)],
        get: |request| request.free_share,
        set: |request, number| request.free_share = number,
    },
];

/// The new REST value of each setting in the order of [`SETTINGS`]; `None` leaves it alone.
pub type Values = [Option<u8>; SETTINGS.len()];

/// A protobuf number that stands for no value of a setting.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownNumber(pub i32);

impl Setting {
    /// The REST value that `request` asks for, `None` when it leaves the setting alone.
    ///
    /// # Errors
    /// The number itself when the proto does not define it.
    pub fn read(&self, request: &Request) -> Result<Option<u8>, UnknownNumber> {
        match (self.get)(request) {
            0 => Ok(None),
            number => usize::try_from(number)
                .ok()
                .and_then(|number| self.values.get(number.checked_sub(1)?))
                .map(|(_, rest)| Some(*rest))
                .ok_or(UnknownNumber(number)),
        }
    }

    /// Asks for the value called `name` in `request`. Returns whether there is such a value.
    pub fn write(&self, request: &mut Request, name: &str) -> bool {
        let Some(number) = (1..).zip(self.values).find(|(_, value)| value.0 == name) else {
            return false;
        };
        (self.set)(request, number.0);
        true
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn all_values() -> impl Iterator<Item = (&'static Setting, i32, &'static str, u8)> {
        SETTINGS.iter().flat_map(|setting| {
            (1..)
                .zip(setting.values)
                .map(move |(number, (name, rest))| (setting, number, *name, *rest))
        })
    }

    #[test]
    fn the_table_says_what_the_proto_says() {
        let set = FileDescriptorSet::decode(crate::proto::DESCRIPTORS).unwrap();
        let file = set
            .file
            .iter()
            .find(|file| file.package() == "meeting.control.v1");
        let file = file.unwrap();
        // The first field is the conference id.
        let fields = &file.message_type[0].field[1..];
        assert_eq!(fields.len(), SETTINGS.len());
        for (setting, field) in SETTINGS.iter().zip(fields) {
            assert_eq!(setting.field, field.name());
            assert_eq!(setting.flag, setting.field.replace('_', "-"));
            assert_eq!(setting.key, field.json_name());
            let kind = field.type_name().rsplit('.').next().unwrap();
            let values = &file
                .enum_type
                .iter()
                .find(|e| e.name() == kind)
                .unwrap()
                .value;
            let names = ["unspecified"]
                .into_iter()
                .chain(setting.values.iter().map(|v| v.0));
            let expected: Vec<_> = (0..)
                .zip(names)
                .map(|(number, name)| (number, format!("{}_{name}", setting.field).to_uppercase()))
                .collect();
            let actual: Vec<_> = values
                .iter()
                .map(|v| (v.number(), v.name().to_owned()))
                .collect();
            assert_eq!(actual, expected);
        }
    }

    /// What the vendor documents: each key, and its values by our names. A star marks that of a new meeting,
    /// which we chose where nothing is documented.
    const DOCUMENTED: [&str; 10] = [
        "lockSharing: unlocked 0*, locked 1",
        "callInRestriction: everyone 0*, enterprise 2, invited 3",
        "isLock: unlocked 0*, locked 1",
        "allowUnmuteByOneself: denied 0, allowed 1*",
        "chatPermission: nobody 1, private 2, public 3, free 4*",
        "audienceCallInRestriction: everyone 0*, enterprise 2",
        "clientRecMode: host 0*, everyone 1, some 2",
        "allowOpenCamera: denied 0, allowed 1*",
        "allowRename: denied 0, allowed 1*",
        "freeShare: hosts 0, everyone 1*",
    ];

    #[test]
    fn each_rest_number_is_the_documented_one() {
        let lines = SETTINGS.each_ref().map(|setting| {
            let value = |(name, rest): &(&str, u8)| {
                let star = if *rest == setting.default { "*" } else { "" };
                format!("{name} {rest}{star}")
            };
            let values: Vec<_> = setting.values.iter().map(value).collect();
            format!("{}: {}", setting.key, values.join(", "))
        });
        assert_eq!(lines, DOCUMENTED);
    }

    #[test]
    fn each_value_is_written_by_name_and_read_as_its_rest_value() {
        for (setting, number, name, rest) in all_values() {
            let mut request = Request::default();
            assert!(setting.write(&mut request, name));
            assert_eq!((setting.get)(&request), number);
            assert_eq!(setting.read(&request), Ok(Some(rest)));
            for other in SETTINGS.iter().filter(|other| other.key != setting.key) {
                assert_eq!(
                    other.read(&request),
                    Ok(None),
                    "{} is left alone",
                    other.key
                );
            }
        }
    }

    #[test]
    fn a_number_or_name_without_a_value_is_refused() {
        for setting in &SETTINGS {
            let past_the_end = i32::try_from(setting.values.len()).unwrap() + 1;
            for number in [past_the_end, -1, i32::MIN, i32::MAX] {
                let mut request = Request::default();
                (setting.set)(&mut request, number);
                assert_eq!(setting.read(&request), Err(UnknownNumber(number)));
            }
            assert!(!setting.write(&mut Request::default(), "unspecified"));
        }
    }
}
