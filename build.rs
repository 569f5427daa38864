//! Has librdkafka leave alone what would end the process: see `src/source/kafka/leaders.c`.

/// What stands in for a function of librdkafka.
const SOURCE: &str = "src/source/kafka/leaders.c";

/// The function, in librdkafka 2.5 to 2.15 at least.
const FUNCTION: &str = "rd_kafka_metadata_update_op";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    // Only the linkers of ELF can do this.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        for object in cc::Build::new().file(SOURCE).compile_intermediates() {
            println!("cargo::rustc-link-arg={}", object.display());
        }
        println!("cargo::rustc-link-arg=-Wl,--wrap={FUNCTION}");
    }
}
