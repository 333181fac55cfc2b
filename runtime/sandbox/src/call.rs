//! Calls into a guest: on the guests' threads, one at a time per instance, under the limits of
//! CPU and wall time. Whatever ends a call badly discards the store (D7).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::CallError;
use crate::cpu_meter::CpuMeter;
use crate::engine::Shared;
use crate::error::shortened;
use crate::limits::Limits;
use crate::state::{HostState, TaskSetup};

/// The future of one call.
pub(crate) type CallFuture<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// An instance and the bindings `G` to its exports.
pub(crate) struct Instance<G> {
    shared: Arc<Shared>,
    limits: Limits,
    cpu: CpuMeter,
    live: Option<Box<Live<G>>>,
}

struct Live<G> {
    store: Store<HostState>,
    guest: Arc<G>,
}

enum Cut {
    Cpu,
    Wall,
}

impl<G: Send + Sync + 'static> Instance<G> {
    /// Makes an instance; `bind` finds the exports.
    pub(crate) async fn new(
        shared: &Arc<Shared>,
        pre: &InstancePre<HostState>,
        setup: &TaskSetup,
        bind: fn(&mut Store<HostState>, &wasmtime::component::Instance) -> wasmtime::Result<G>,
    ) -> Result<Self, CallError> {
        let mut store = Store::new(&shared.engine, HostState::new(setup)?);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(setup.limits.transfer_bytes);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let pre = pre.clone();
        // Start functions of a component are guest code too.
        let make = async move {
            let instance = pre.instantiate_async(&mut store).await;
            let guest = match instance {
                Ok(instance) => bind(&mut store, &instance),
                Err(error) => Err(error),
            };
            (store, guest)
        };
        let made = on_guest_thread(shared, setup.limits, &setup.cpu, make).await;
        match made {
            Some(Ok((store, Ok(guest)))) => {
                let live = Some(Box::new(Live {
                    store,
                    guest: Arc::new(guest),
                }));
                Ok(Self {
                    shared: Arc::clone(shared),
                    limits: setup.limits,
                    cpu: setup.cpu.clone(),
                    live,
                })
            }
            Some(Ok((store, Err(error)))) if store.data().meter.refused() => {
                Err(CallError::Memory {
                    export: "instantiate",
                    limit_bytes: setup.limits.memory_bytes,
                    trace: shortened(format!("{error:?}")),
                })
            }
            Some(Ok((_, Err(error)))) => {
                Err(CallError::Instantiate(shortened(format!("{error:?}"))))
            }
            Some(Err(cut)) => Err(cut_off("instantiate", cut, setup.limits)),
            None => Err(CallError::Ended {
                export: "instantiate",
            }),
        }
    }

    /// Calls an export. A call that does not come back with an answer of the guest ends the
    /// instance; dropping the returned future ends it too.
    pub(crate) async fn call<T: Send + 'static>(
        &mut self,
        export: &'static str,
        call: impl for<'a> FnOnce(&'a mut Store<HostState>, &'a G) -> CallFuture<'a, T> + Send + 'static,
    ) -> Result<T, CallError> {
        let mut live = self.live.take().ok_or(CallError::Ended { export })?;
        let limits = self.limits;
        let running = async move {
            let guest = Arc::clone(&live.guest);
            let result = call(&mut live.store, &guest).await;
            (live, result)
        };
        match on_guest_thread(&self.shared, limits, &self.cpu, running).await {
            Some(Ok((live, Ok(answer)))) => {
                self.live = Some(live);
                Ok(answer)
            }
            Some(Ok((live, Err(error)))) => Err(trapped(export, &live.store, &error)),
            Some(Err(cut)) => Err(cut_off(export, cut, limits)),
            None => Err(CallError::Ended { export }),
        }
    }

    /// What the instance's memories and tables take now; 0 once it has ended.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.live
            .as_ref()
            .map_or(0, |live| live.store.data().meter.used_bytes())
    }

    /// Ends the instance: what the guest answered shows that it cannot go on.
    pub(crate) fn discard(&mut self) {
        self.live = None;
    }
}

fn trapped(export: &'static str, store: &Store<HostState>, error: &wasmtime::Error) -> CallError {
    let meter = &store.data().meter;
    // Debug prints the causes and the wasm backtrace, names demangled.
    let trace = shortened(format!("{error:?}"));
    if meter.refused() {
        let limit_bytes = store.data().limits.memory_bytes;
        return CallError::Memory {
            export,
            limit_bytes,
            trace,
        };
    }
    CallError::Trap { export, trace }
}

fn cut_off(export: &'static str, cut: Cut, limits: Limits) -> CallError {
    match cut {
        Cut::Cpu => CallError::CpuTime {
            export,
            limit_ms: limits.call_cpu_ms,
        },
        Cut::Wall => CallError::WallTime {
            export,
            limit_ms: limits.call_wall_ms,
        },
    }
}

/// Runs `work` on a guest thread until it ends or is cut off; `None` if the threads are gone.
async fn on_guest_thread<T: Send + 'static>(
    shared: &Arc<Shared>,
    limits: Limits,
    cpu: &CpuMeter,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<Result<T, Cut>> {
    let cpu = cpu.clone();
    let limited = async move {
        let metered = CpuMetered {
            work: Box::pin(work),
            used: Duration::ZERO,
            limit: Duration::from_millis(limits.call_cpu_ms),
            cpu,
        };
        match tokio::time::timeout(Duration::from_millis(limits.call_wall_ms), metered).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Cut::Cpu),
            Err(_) => Err(Cut::Wall),
        }
    };
    AbortOnDrop(shared.guests().spawn(limited)).await.ok()
}

/// Adds up the thread's CPU clock around each poll; ends with `None` past the limit. Epochs see
/// to it that a poll comes back.
struct CpuMetered<T> {
    work: Pin<Box<dyn Future<Output = T> + Send>>,
    used: Duration,
    limit: Duration,
    cpu: CpuMeter,
}

impl<T> Future for CpuMetered<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let start = thread_cpu_time();
        let polled = self.work.as_mut().poll(context);
        let used = thread_cpu_time().saturating_sub(start);
        self.used += used;
        self.cpu.add(used);
        match polled {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if self.used > self.limit => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A cancelled call discards its store.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
