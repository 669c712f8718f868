//! Generates the gRPC code and the descriptor set from `proto/`, without protoc.

use std::path::PathBuf;

const PROTO: &str = "proto/meeting/control/v1/meeting_control.proto";

#[allow(
    clippy::disallowed_methods,
    reason = "how Cargo tells a build script where to write"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={PROTO}");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_file(PROTO)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .codec_path("crate::proto::SmallCodec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
