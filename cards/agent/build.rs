//! Generates the kubelet's gRPC code from `proto/`.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure().compile_protos(&["proto/deviceplugin.proto"], &["proto"])
}
