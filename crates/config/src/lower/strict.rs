//! What strict mode demands: the letter of the RFC.

use std::time::Duration;

use super::context::Context;
use crate::diagnostic::{Diagnostic, Language};
use crate::model::vrrp::{InitialState, OwnDevice, Version};
use crate::model::{Instance, Setting};
use crate::source::Span;

impl Context<'_> {
    pub(super) fn strict_says(&mut self, i: &Instance, at: Option<Span>, rule: &str, label: &str) {
        let mut diagnostic = Diagnostic::error(
            Language::Strict,
            format!("`vrrp_instance {}`: in strict mode {rule}", i.name),
        );
        if let Some(span) = at.or(i.strict.span()) {
            diagnostic = diagnostic.at(span, label);
        }
        if let (Some(_), Some(span)) = (at, i.strict.span()) {
            diagnostic = diagnostic.also(span, "strict mode");
        }
        self.report(diagnostic);
    }

    pub(super) fn strict(&mut self, i: &mut Instance, no_vips: Option<Span>, owner: bool) {
        let Some(because) = i.strict.span() else { return };
        let own = |s: Option<Span>| s.filter(|s| *s != because);
        if no_vips.is_some() {
            self.strict_says(i, no_vips, "there are addresses", "ignored");
            i.no_vips = false;
        }
        let should = if owner { InitialState::Master } else { InitialState::Backup };
        if i.state.value != should {
            let at = own(i.state.span());
            let rule = "`state MASTER` belongs to the owner (priority 255), and only to it";
            self.strict_says(i, at, rule, if owner { "MASTER is used" } else { "BACKUP is used" });
            i.state.force(should, because);
        }
        if !i.preempt_delay.value.is_zero() {
            self.strict_says(
                i,
                own(i.preempt_delay.span()),
                "there is no preempt_delay",
                "dropped",
            );
            i.preempt_delay.force(Duration::ZERO, because);
        }
        if i.down_timer_adverts.value != 3 {
            let at = own(i.down_timer_adverts.span());
            self.strict_says(i, at, "a master is down after 3 adverts", "3 is used");
            i.down_timer_adverts.force(3, because);
        }
        if i.garp.lower_prio_repeat.value != 0 {
            if !i.garp.lower_prio_repeat.is_default()
                && i.garp.lower_prio_repeat.written_at().is_some()
            {
                let at = i.garp.lower_prio_repeat.span();
                self.strict_says(i, at, "a lower priority is not answered by ARP", "0 is used");
            }
            i.garp.lower_prio_repeat.force(0, because);
        }
        if !i.garp.lower_prio_delay.value.is_zero() {
            if i.garp.lower_prio_delay.written_at().is_some() {
                let at = i.garp.lower_prio_delay.span();
                self.strict_says(i, at, "a lower priority is not answered by ARP", "0 is used");
            }
            i.garp.lower_prio_delay.force(Duration::ZERO, because);
        }
        if i.higher_prio_send_advert.value {
            let at = own(i.higher_prio_send_advert.span());
            self.strict_says(i, at, "a higher priority is not answered", "off is used");
            i.higher_prio_send_advert.force(false, because);
        }
        if !i.lower_prio_no_advert.value {
            if !i.lower_prio_no_advert.is_default() {
                let at = own(i.lower_prio_no_advert.span());
                self.strict_says(i, at, "a lower priority is not answered", "on is used");
            }
            i.lower_prio_no_advert.force(true, because);
        }
        if i.vmac_xmit_base.value && !i.transport.is_unicast() {
            let at = own(i.vmac_xmit_base.span());
            self.strict_says(i, at, "adverts go by the VMAC", "dropped");
            i.vmac_xmit_base.force(false, because);
        }
        if let Some(Setting { value: OwnDevice::Vmac { mac: mac @ Some(_), .. }, origin }) =
            &mut i.own_device
        {
            *mac = None;
            let at = Setting { value: (), origin: *origin }.span();
            self.strict_says(i, at, "the MAC is the one of the RFC", "dropped");
        }
        if i.accept.value && !owner {
            if i.accept.written_at().is_some() && i.version.value == Version::V2 {
                let at = i.accept.span();
                self.strict_says(i, at, "version 2 knows no accept mode", "dropped");
                i.accept.force(false, because);
            } else if i.accept.is_default() {
                i.accept.force(false, because);
            }
        }
    }
}
