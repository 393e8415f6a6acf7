//! The main context, where it is about the process itself and its threads.

use crate::config::CpuAffinity;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("env", Contexts::MAIN, Arity::Exactly(1), env).repeats().doc(
        "Which variables of the environment nginx keeps. Culvert keeps all of them and runs no code that would read one, so \
         `env NAME` and `env NAME=value` change nothing. `env TZ=value` would change the times in logs and is refused: `TZ` \
         is to be set where the gateway is started.",
    ),
    Row::new("thread_pool", Contexts::MAIN, Arity::Between(2, 3), thread_pool).repeats().doc(
        "A pool of threads that read files in nginx. What is written here is checked and changes nothing: Culvert reads files \
         in threads that are started as they are needed.",
    ),
    Row::new("worker_cpu_affinity", Contexts::MAIN, Arity::AtLeast(1), worker_cpu_affinity).doc(
        "Which CPUs each worker thread may run on: a mask of ones and zeros per thread, the last digit being the first CPU; the \
         last mask holds for all further threads. `auto` gives each thread one CPU, `auto MASK` one of those. Threads keep the \
         CPUs that they started with over reloads.",
    ),
    Row::new("worker_priority", Contexts::MAIN, Arity::Exactly(1), worker_priority).default("0").doc(
        "The nice value of the gateway, from -20 (most favoured) to 19. It is taken at the start; less than 0 needs root.",
    ),
    Row::new("worker_rlimit_core", Contexts::MAIN, Arity::Exactly(1), |scope, directive| {
        scope.world.main.worker_rlimit_core = Some(directive.offset(1)?);
        Ok(())
    })
    .doc("The largest core dump that the gateway may leave, taken at the start."),
    Row::new("working_directory", Contexts::MAIN, Arity::Exactly(1), |scope, directive| {
        scope.world.main.working_directory = Some(scope.path(directive.arg(1)));
        Ok(())
    })
    .doc("The current directory of the gateway from its start on: where a core dump goes."),
];

fn env(_: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.arg(1).starts_with("TZ=") {
        let fault = Fault::at(1, "\"env\" can't change the time zone of Culvert");
        return Err(fault.hint("set TZ where the gateway is started"));
    }
    Ok(())
}

fn thread_pool(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut has_threads = false;
    for number in 2..=directive.args().len() {
        let text = directive.arg(number);
        let value = |name: &str| text.strip_prefix(name).map(|value| units::number(value).filter(|&value| value > 0));
        match (value("threads="), value("max_queue=")) {
            (Some(None), _) => return Err(Fault::at(number, format!("invalid threads value \"{text}\""))),
            (_, Some(None)) => return Err(Fault::at(number, format!("invalid max_queue value \"{text}\""))),
            (Some(Some(_)), _) => has_threads = true,
            _ => {}
        }
    }
    let name = directive.arg(1);
    if !has_threads && name != "default" {
        return Err(Fault::new("\"thread_pool\" must have \"threads\" parameter"));
    }
    if scope.world.thread_pools.iter().any(|known| known == name) {
        return Err(Fault::at(1, format!("duplicate thread pool \"{name}\"")));
    }
    scope.world.thread_pools.push(name.to_owned());
    Ok(())
}

/// As many as the kernel's masks have.
const CPUS_MAX: usize = 1024;

fn worker_cpu_affinity(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let words = directive.args();
    scope.world.main.worker_cpu_affinity = match directive.arg(1) {
        "auto" if words.len() > 2 => {
            return Err(Fault::new("invalid number of arguments in \"worker_cpu_affinity\" directive"));
        }
        "auto" if words.len() == 2 => CpuAffinity::Auto(Some(mask(directive, 2)?)),
        "auto" => CpuAffinity::Auto(None),
        _ => CpuAffinity::Masks((1..=words.len()).map(|number| mask(directive, number)).collect::<Result<_, _>>()?),
    };
    Ok(())
}

/// The CPUs of a mask by their numbers.
fn mask(directive: &Directive, number: usize) -> Result<Vec<usize>, Fault> {
    let text = directive.arg(number);
    if text.len() > CPUS_MAX {
        return Err(Fault::at(number, format!("\"worker_cpu_affinity\" supports up to {CPUS_MAX} CPUs only")));
    }
    let mut cpus = Vec::new();
    // A blank between digits is allowed, as in a quoted mask.
    for (cpu, digit) in text.chars().filter(|c| *c != ' ').rev().enumerate() {
        match digit {
            '0' => {}
            '1' => cpus.push(cpu),
            other => {
                return Err(Fault::at(number, format!("invalid character \"{other}\" in \"worker_cpu_affinity\"")));
            }
        }
    }
    Ok(cpus)
}

fn worker_priority(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = units::number(digits).and_then(|number| i32::try_from(number).ok());
    let number = number.ok_or_else(|| Fault::at(1, "\"worker_priority\" directive invalid number"))?;
    scope.world.main.worker_priority = sign * number;
    Ok(())
}

/// Says, once all of the main context is read, that there are not as many masks as threads.
pub(crate) fn settle(scope: &mut Scope<'_>, items: &[Directive]) {
    let main = &scope.world.main;
    let CpuAffinity::Masks(masks) = &main.worker_cpu_affinity else { return };
    if masks.len() == 1 || main.worker_processes.is_none_or(|count| count == masks.len()) {
        return;
    }
    if let Some(line) = items.iter().find(|item| item.name() == "worker_cpu_affinity") {
        let message = "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, \
                       using last mask for remaining worker processes";
        scope.warn(line, Fault::new(message));
    }
}
