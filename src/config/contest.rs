//! Who is served what: every tenant asks for a name and for domains, and each goes to one of them.
//!
//! The rules are those of `check`; here they are carried out, with a fault for whoever loses.

use super::{
    Tenant, TenantId,
    check::{Outcome, Previous, Tenants},
    fault::{Fault, Faults, Severity, quoted},
    files::Loaded,
    list::ListFile,
    source::{Source, Span},
    tenants::{Draft, DraftPolicy, TenantFile, WrittenHost, own_subdomains},
};
use crate::{name::PolicyHost, policy::RenderedPolicy};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

/// A tenant that wants to be served.
struct Party<'a> {
    id: &'a TenantId,
    /// Where it is written; `None` for one that is kept because its file cannot be read.
    written: Option<(&'a Draft, &'a TenantFile)>,
    list: Option<&'a ListFile>,
    policy: Option<Arc<RenderedPolicy>>,
    refused: bool,
    /// Domains of its list that belong to somebody else.
    lost: HashSet<&'a PolicyHost>,
    /// Domains that it had and that a bad line of its list may have meant.
    kept: Vec<&'a PolicyHost>,
    /// Its last good self.
    before: Option<&'a Arc<Tenant>>,
}

impl<'a> Party<'a> {
    /// The domains it asks for, each with its source and whether it comes from a list.
    fn asked(&self) -> impl Iterator<Item = (&'a WrittenHost, &'a Source, bool)> + use<'a> {
        let written = self.written.map(|(draft, file)| (&draft.hosts, &*file.source, false));
        let listed = self.list.map(|list| (&list.hosts, &*list.source, true));
        let all = written.into_iter().chain(listed);
        all.flat_map(|(hosts, source, listed)| hosts.iter().map(move |host| (host, source, listed)))
    }

    fn asked_at_most(&self) -> usize {
        let written = self.written.map_or(0, |(draft, _)| draft.hosts.len());
        written + self.list.map_or(0, |list| list.hosts.len())
    }

    /// `file:line` of its name, else the file.
    fn place(&self) -> String {
        match (self.written, self.before) {
            (Some((draft, file)), _) => file.source.place(draft.span.start),
            (None, Some(before)) => super::fault::shown(&before.file.to_string_lossy()),
            (None, None) => String::new(),
        }
    }

    /// The tenant as written, less what it lost; the same object as before where nothing changed.
    fn tenant(&self, faults: &mut Faults) -> Option<Arc<Tenant>> {
        let (Some((draft, file)), Some(policy)) = (self.written, &self.policy) else { return None };
        let in_place: HashSet<_> = match self.list {
            Some(_) => draft.hosts.iter().map(|host| &host.host).collect(),
            None => HashSet::new(),
        };
        let has = |(host, _, listed): &(&WrittenHost, &Source, bool)| {
            !*listed || !(self.lost.contains(&host.host) || in_place.contains(&host.host))
        };
        for (host, source, listed) in self.asked().filter(has) {
            let shared = listed || matches!(draft.policy, DraftPolicy::Named(_));
            if let Some(problem) = shared.then(|| own_subdomains(policy, &host.host)).flatten() {
                let (key, remedy) = ("tenant.domains", "name the MX hosts one by one");
                let warning = Fault::at(Severity::Warning, source, host.span, key, problem, remedy);
                faults.push(warning.for_tenant(self.id));
            }
        }
        let hosts = || {
            let asked = self.asked().filter(has).map(|(host, ..)| &host.host);
            asked.chain(self.kept.iter().copied())
        };
        let file = file.source.path();
        let same = |b: &&Arc<Tenant>| b.policy == *policy && b.file == *file && b.hosts.iter().eq(hosts());
        let new = || {
            let (id, policy, file) = (self.id.clone(), Arc::clone(policy), Arc::clone(file));
            Arc::new(Tenant { id, hosts: hosts().cloned().collect(), policy, file })
        };
        Some(self.before.filter(same).map_or_else(new, Arc::clone))
    }
}

/// Who has a domain, for now.
#[derive(Clone, Copy)]
struct Claim<'a> {
    party: usize,
    /// Where the domain stands, and whether in a list; `None` for a domain that is kept.
    written: Option<(&'a Source, Span, bool)>,
}

/// All tenants and the domains they ask for.
pub(super) struct Contest<'a> {
    loaded: &'a Loaded,
    previous: &'a Previous<'a>,
    parties: Vec<Party<'a>>,
    /// The index of each party that is written.
    by_id: HashMap<&'a TenantId, usize>,
    claims: HashMap<&'a PolicyHost, Claim<'a>>,
    /// Parties that were refused and whose last good domains are still to be claimed back.
    to_keep: Vec<usize>,
    faults: Faults,
}

impl<'a> Contest<'a> {
    /// Settles who is served what; the server's part is left to whoever asks.
    pub(super) fn settle(loaded: &'a Loaded, previous: &'a Previous<'a>) -> Outcome {
        let mut contest = Self::new(loaded, previous);
        contest.enter_parties();
        contest.enter_absent();
        contest.give_domains();
        let outcome = contest.result();
        let faults = contest.faults.finish(loaded.main.tenants.source.path());
        Outcome { faults, ..outcome }
    }

    fn new(loaded: &'a Loaded, previous: &'a Previous<'a>) -> Self {
        Self {
            loaded,
            previous,
            parties: Vec::new(),
            by_id: HashMap::new(),
            claims: HashMap::new(),
            to_keep: Vec::new(),
            faults: Faults::default(),
        }
    }

    fn files(&self) -> impl Iterator<Item = &'a TenantFile> + use<'a> {
        let loaded = self.loaded;
        std::iter::once(&loaded.main.tenants).chain(loaded.drop_ins.iter().map(|file| &**file))
    }

    /// Enters every tenant as written, one for each name.
    fn enter_parties(&mut self) {
        let mut used = HashSet::new();
        let count = self.files().map(|file| file.drafts.len()).sum();
        let mut chosen: Vec<(&Draft, &TenantFile)> = Vec::with_capacity(count);
        self.by_id.reserve(count);
        for (draft, file) in self.files().flat_map(|file| file.drafts.iter().map(move |draft| (draft, file)))
        {
            let next = chosen.len();
            let index = *self.by_id.entry(&draft.id).or_insert(next);
            let Some(other) = chosen.get_mut(index) else {
                chosen.push((draft, file));
                continue;
            };
            let home = self.previous.tenants.get(&draft.id).map(|tenant| &tenant.file);
            let moved_in = home == Some(file.source.path()) && home != Some(other.1.source.path());
            let loser = if moved_in { std::mem::replace(other, (draft, file)) } else { (draft, file) };
            let place = other.1.source.place(other.0.span.start);
            let problem = format!("the name {} is used twice; {place} has it", quoted(draft.id.as_str()));
            self.fault(loser, loser.0.span, "tenant.name", problem, "give one of the two another name");
        }
        self.parties.reserve(count);
        for (draft, file) in chosen {
            if let DraftPolicy::Named(name) = &draft.policy {
                used.insert(name.value.as_str());
            }
            self.enter(draft, file);
        }
        // While some tenant cannot be read, it may be the one that uses the policy.
        if self.loaded.pattern_fault.is_some() || self.files().any(|file| file.incomplete) {
            return;
        }
        let mut unused: Vec<_> =
            self.loaded.main.policies.iter().filter(|(name, _)| !used.contains(name.as_str())).collect();
        unused.sort_by_key(|(_, policy)| policy.span.start);
        for (name, policy) in unused {
            let problem = format!("no tenant uses the policy {}", quoted(name));
            let source = &self.loaded.main.tenants.source;
            let remedy = "take it out, or give it a domains_file";
            self.faults.push(Fault::at(Severity::Warning, source, policy.span, "policies", problem, remedy));
        }
    }

    fn enter(&mut self, draft: &'a Draft, file: &'a TenantFile) {
        let policy = self.policy_of(draft, file);
        let list =
            draft.list.as_ref().and_then(|list| self.loaded.lists.get(&list.value)).map(|list| &**list);
        let mut refused = !draft.good || policy.is_none() || list.is_some_and(|list| !list.readable);
        if let (Some(list), Some(at)) = (list, &draft.list) {
            let shown = quoted(&list.source.path().to_string_lossy());
            if !list.readable {
                for fault in list.faults.iter().filter(|fault| fault.line == 0) {
                    let problem = format!("the list {shown}: {}", fault.problem);
                    self.fault((draft, file), at.span, "domains_file", problem, &*fault.remedy);
                }
            } else if list.hosts.is_empty() && draft.hosts.is_empty() {
                let problem = format!("the list {shown} has no domain");
                let remedy = "write one domain a line, or take the key out";
                self.fault((draft, file), at.span, "domains_file", problem, remedy);
                refused = true;
            }
        }
        let before = self.previous.tenants.get(&draft.id);
        if refused {
            self.to_keep.push(self.parties.len());
        }
        self.parties.push(Party {
            id: &draft.id,
            written: Some((draft, file)),
            list,
            policy,
            refused,
            lost: HashSet::new(),
            kept: Vec::new(),
            before,
        });
    }

    fn policy_of(&mut self, draft: &'a Draft, file: &'a TenantFile) -> Option<Arc<RenderedPolicy>> {
        let name = match &draft.policy {
            DraftPolicy::Own(policy) => return Some(Arc::clone(policy)),
            DraftPolicy::Faulty => return None,
            DraftPolicy::Named(name) => name,
        };
        let policies = &self.loaded.main.policies;
        if let Some(named) = policies.get(&name.value) {
            return named.policy.clone();
        }
        let mut known: Vec<&str> = policies.keys().map(String::as_str).collect();
        known.sort_unstable();
        let likeness = |other: &str| strsim::jaro_winkler(other, &name.value);
        let like = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let remedy = match like.filter(|other| likeness(other) > 0.8) {
            Some(other) => format!("did you mean {}?", quoted(other)),
            None => format!("write [policies.{}] in the main file", super::fault::shown(&name.value)),
        };
        let problem = format!("there is no policy {}", quoted(&name.value));
        self.fault((draft, file), name.span, "tenant.policy", problem, remedy);
        None
    }

    /// Enters the tenants that are kept because the file they were loaded from cannot be told.
    fn enter_absent(&mut self) {
        let incomplete: HashSet<&Path> =
            self.files().filter(|file| file.incomplete).map(|file| &**file.source.path()).collect();
        if incomplete.is_empty() {
            return;
        }
        for (id, before) in self.previous.tenants {
            if self.by_id.contains_key(id) || !incomplete.contains(&*before.file) {
                continue;
            }
            self.to_keep.push(self.parties.len());
            self.parties.push(Party {
                id,
                written: None,
                list: None,
                policy: None,
                refused: true,
                lost: HashSet::new(),
                kept: Vec::new(),
                before: Some(before),
            });
        }
    }

    /// Gives every domain to one party, and tells a party that is refused of every domain that is
    /// somebody else's. Each step refuses a party or leaves a domain where it is, so
    /// it ends; a refused party is never let in again, since its fault stays true.
    fn give_domains(&mut self) {
        self.claims.reserve(self.parties.iter().map(Party::asked_at_most).sum());
        self.keep_refused();
        for party in 0..self.parties.len() {
            if self.is_refused(party) {
                continue;
            }
            let Some(asked) = self.parties.get(party).map(Party::asked) else { continue };
            for (host, source, listed) in asked {
                let claim = Claim { party, written: Some((source, host.span, listed)) };
                if !self.is_refused(party) {
                    self.claim(&host.host, claim);
                } else if let Some(other) = self.claims.get(&host.host).copied()
                    && other.party != party
                {
                    self.lose(&host.host, claim, other);
                }
            }
            self.keep_refused();
        }
        for party in 0..self.parties.len() {
            self.keep_unlisted(party);
        }
    }

    /// Leaves a party what it had and nobody else has, while its list has a bad line.
    fn keep_unlisted(&mut self, index: usize) {
        let Some(party) = self.parties.get_mut(index) else { return };
        let doubtful = !party.refused && party.list.is_some_and(|list| list.has_bad_line);
        let Some(before) = party.before.filter(|_| doubtful) else { return };
        for host in &before.hosts {
            if !self.claims.contains_key(host) {
                self.claims.insert(host, Claim { party: index, written: None });
                party.kept.push(host);
            }
        }
    }

    fn is_refused(&self, party: usize) -> bool {
        self.parties.get(party).is_none_or(|party| party.refused)
    }

    /// Claims a domain for a party as written.
    fn claim(&mut self, host: &'a PolicyHost, claim: Claim<'a>) {
        let Some(other) = self.claims.get(host).copied() else {
            self.claims.insert(host, claim);
            return;
        };
        let newcomer_owned_it = other.written.is_some()
            && other.party != claim.party
            && (self.previous.owner_of)(host).as_ref() == self.parties.get(claim.party).map(|party| party.id);
        if newcomer_owned_it {
            self.claims.insert(host, claim);
            self.lose(host, other, claim);
        } else {
            self.lose(host, claim, other);
        }
    }

    /// `loser` does not get `host`, because `winner` has it: from a list the domain is left out, else
    /// the whole edit is.
    fn lose(&mut self, host: &'a PolicyHost, loser: Claim<'a>, winner: Claim<'a>) {
        let Some((source, span, listed)) = loser.written else { return };
        let place = match (winner.written, self.parties.get(winner.party)) {
            (Some((source, span, _)), _) => source.place(span.start),
            (None, Some(party)) => party.place(),
            (None, None) => String::new(),
        };
        let Some(winner_id) = self.parties.get(winner.party).map(|party| party.id) else { return };
        let domain = host.domain();
        let problem = if loser.party == winner.party {
            format!("the domain \"{domain}\" is listed twice; {place} has it")
        } else if winner.written.is_none() {
            format!(
                "the domain \"{domain}\" still belongs to tenant {winner_id}, whose edit is refused ({place})"
            )
        } else {
            format!("the domain \"{domain}\" belongs to tenant {winner_id} ({place})")
        };
        let same = loser.party == winner.party;
        let Some(party) = self.parties.get_mut(loser.party) else { return };
        let key = if listed { "domains_file" } else { "tenant.domains" };
        let remedy = "a domain has one owner: take it out here or there";
        let fault = Fault::at(Severity::Fault, source, span, key, problem, remedy);
        self.faults.push(fault.for_tenant(party.id));
        if same && listed {
            return;
        }
        if listed {
            party.lost.insert(host);
        } else if !party.refused {
            party.refused = true;
            self.to_keep.push(loser.party);
        }
    }

    /// Takes back what refused parties asked for, and gives them what they had.
    fn keep_refused(&mut self) {
        while let Some(index) = self.to_keep.pop() {
            let Some(party) = self.parties.get(index) else { continue };
            for (host, _, _) in party.asked() {
                if self.claims.get(&host.host).is_some_and(|claim| claim.party == index) {
                    self.claims.remove(&host.host);
                }
            }
            let Some(before) = party.before else { continue };
            for host in &before.hosts {
                let kept = Claim { party: index, written: None };
                if let Some(other) = self.claims.insert(host, kept).filter(|other| other.party != index) {
                    self.lose(host, other, kept);
                }
            }
        }
    }

    /// The tenants to serve, and what is other than before.
    fn result(&mut self) -> Outcome {
        let mut outcome =
            Outcome { tenants: Tenants::with_capacity(self.parties.len()), ..Outcome::default() };
        for party in &self.parties {
            let tenant = match party.refused {
                true => party.before.cloned(),
                false => party.tenant(&mut self.faults),
            };
            if party.refused {
                outcome.refused.insert(party.id.clone());
            }
            let Some(tenant) = tenant else { continue };
            match party.before {
                None => outcome.added.push(party.id.clone()),
                Some(before) if Arc::ptr_eq(before, &tenant) => {}
                Some(before) if before.hosts == tenant.hosts && before.policy == tenant.policy => {}
                Some(_) => outcome.changed.push(party.id.clone()),
            }
            outcome.in_order.push(Arc::clone(&tenant));
            outcome.tenants.insert(party.id.clone(), tenant);
        }
        // Each tenant is from before or new, so counting shows whether any is gone.
        if outcome.tenants.len() < self.previous.tenants.len() + outcome.added.len() {
            let gone = self.previous.tenants.keys().filter(|id| !outcome.tenants.contains_key(*id));
            outcome.removed = gone.cloned().collect();
        }
        for names in [&mut outcome.added, &mut outcome.changed, &mut outcome.removed] {
            names.sort();
        }
        outcome
    }

    fn fault(
        &mut self,
        (draft, file): (&Draft, &TenantFile),
        span: Span,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let fault = Fault::at(Severity::Fault, &file.source, span, key, problem, remedy);
        self.faults.push(fault.for_tenant(&draft.id));
    }
}
