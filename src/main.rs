//! The process: arguments, file limit, runtime, exit status.

use std::process::ExitCode;

use meeting_control::cli::{Cli, EXIT_USAGE};
use meeting_control::workers;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Saves a tenth of the processor time of a call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(message) => {
            let asked_for = !message.use_stderr();
            // Nothing can be done about a closed terminal.
            let _ = message.print();
            return if asked_for {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_USAGE)
            };
        }
    };
    raise_file_limit();
    // Where there are several processors, connections have threads of their own.
    match workers::runtime() {
        Ok(runtime) => {
            let status = runtime.block_on(cli.run());
            // What is still running has had its time.
            runtime.shutdown_background();
            status
        }
        Err(error) => {
            meeting_control::print::error_line(&format!(
                "error: the runtime cannot start: {error}"
            ));
            ExitCode::FAILURE
        }
    }
}

/// Allows as many open files as the system lets us have: each connection is one, and a container often
/// begins with 1024.
fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // Where that is refused, the limit stays as it was, and shows in the metrics.
    let _ = setrlimit(Resource::Nofile, raised);
}
