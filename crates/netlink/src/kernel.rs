//! The seam between what is wanted and what is: a kernel that takes batches and answers dumps.

use crate::{Address, Family, KernelError, Link, Request, Route, Rule};

/// A kernel, real or in memory.
pub trait Kernel {
    /// Carries out all requests in order, each whether or not the ones before it failed.
    /// The answer has one entry per request.
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>>;

    /// All interfaces.
    ///
    /// # Errors
    /// When the kernel refuses, or its answer cannot be read completely.
    fn links(&mut self) -> Result<Vec<Link>, KernelError>;

    /// Addresses that the filter lets pass.
    ///
    /// # Errors
    /// As [`Kernel::links`].
    fn addresses(&mut self, filter: AddressFilter) -> Result<Vec<Address>, KernelError>;

    /// Routes that the filter lets pass, cached and cloned ones excepted.
    ///
    /// # Errors
    /// As [`Kernel::links`].
    fn routes(&mut self, filter: RouteFilter) -> Result<Vec<Route>, KernelError>;

    /// Policy rules of one family, or of both.
    ///
    /// # Errors
    /// As [`Kernel::links`].
    fn rules(&mut self, family: Option<Family>) -> Result<Vec<Rule>, KernelError>;
}

/// Which addresses to dump; the default is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressFilter {
    /// Only of this family.
    pub family: Option<Family>,
    /// Only on this interface.
    pub ifindex: Option<u32>,
}

/// Which routes to dump; the default is all tables of both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteFilter {
    /// Only of this family.
    pub family: Option<Family>,
    /// Only of this table.
    pub table: Option<u32>,
    /// Only added by this protocol.
    pub protocol: Option<u8>,
    /// Only out of this interface.
    pub ifindex: Option<u32>,
}

impl RouteFilter {
    /// Whether a route passes the filter.
    #[must_use]
    pub fn admits(&self, route: &Route) -> bool {
        self.family.is_none_or(|family| family == route.family())
            && self.table.is_none_or(|table| table == route.table)
            && self.protocol.is_none_or(|protocol| protocol == route.protocol)
            && self
                .ifindex
                .is_none_or(|index| route.hops.iter().any(|hop| hop.ifindex == Some(index)))
    }
}
