//! `protochain`: follows extension headers to a protocol, with a loop.

use super::Lowerer;
use super::error::LowerError;
use super::qualifiers::not_a_qualifier;
use crate::filter::ast::Proto;
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

impl Lowerer<'_> {
    /// `protochain N`.
    pub(super) fn proto_chain(&mut self, number: u32, over: Option<Proto>) -> Lowered {
        match over {
            None => {
                let v4 = self.proto_chain(number, Some(Proto::Ip))?;
                let v6 = self.proto_chain(number, Some(Proto::Ipv6))?;
                Ok(self.or(v4, v6))
            }
            Some(Proto::Ip) | Some(Proto::Ipv6) => Err(LowerError::NotYet),
            Some(other) => Err(not_a_qualifier(other, "protochain")),
        }
    }
}
