//! ExactlyOnceSourceIntegrationTest (KIP-618).
