//! Generates the gRPC code from `proto/`.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure().compile_protos(
        &["proto/tricenter/order.proto", "proto/tricenter/admin.proto"],
        &["proto"],
    )
}
