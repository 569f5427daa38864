# viewtide and event-pusher: built with the toolchain of rust-toolchain.toml, run on a slim base.
FROM rust:1.95.0-bookworm AS build
# The image's own; rust-toolchain.toml would have rustup fetch the components for development too.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && \
    mkdir /out && cp target/release/viewtide target/release/event-pusher /out/

FROM debian:bookworm-slim
RUN useradd --system --home-dir /viewtide --create-home viewtide && \
    install -d -o viewtide /viewtide/.local
COPY --from=build /out/ /usr/local/bin/
WORKDIR /viewtide
COPY sql sql
COPY viewtide.toml .
USER viewtide
EXPOSE 8001
CMD ["viewtide", "run", "--config", "viewtide.toml"]
