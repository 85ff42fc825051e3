//! Private database servers for tests: own port, own data folder, stopped by their process id.
