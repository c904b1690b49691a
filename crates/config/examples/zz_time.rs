use std::time::Instant;
fn main(){ let p=std::env::args().nth(1).unwrap(); 
 let t=Instant::now(); let l=config::load(&config::files::RealFiles, p.as_ref(), &config::Options::default()); println!("load {:?} diags {}", t.elapsed(), l.diagnostics.len());
 let t=Instant::now(); let m=config::lower::lower(&l.tree,&config::lower::BuiltinNames); println!("lower {:?} diags {} vs {}", t.elapsed(), m.diagnostics.len(), m.model.virtual_servers.len());
 let t=Instant::now(); let c=m.model.clone(); let e = c==m.model; println!("clone+eq {:?} {e}", t.elapsed());
 for d in m.diagnostics.iter().take(40) { println!("{}", config::render::text(d,&l.sources,config::render::Style::default())); } }
