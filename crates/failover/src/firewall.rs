//! x
use crate::kernel::KernelState;
use crate::plan::Plan;
use config::model::Model;
use vrrp::RouterId;

#[derive(Debug, Default)]
pub(crate) struct Firewall {}
impl Firewall {
    pub(crate) fn define(&mut self, _model: &Model, _plan: &Plan, _kernel: &KernelState) {}
    pub(crate) fn sync(&mut self, _kernel: &KernelState, _routers: &[RouterId]) {}
    pub(crate) fn remove(&mut self) {}
}
