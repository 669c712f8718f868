//! The gRPC contract: code generated from `proto/`, and the descriptor set that reflection serves.

mod codec;

pub use codec::SmallCodec;

/// Types, client and server of the package `meeting.control.v1`.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::clone_on_ref_ptr,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("meeting.control.v1");
}

/// The compiled descriptor set, for reflection and for the test that freezes the contract.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptors");
