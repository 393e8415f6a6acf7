//! JupyterLab: a notebook's cell is run by a kernel, with which the page speaks over a WebSocket.

use super::*;

/// A notebook with one cell.
const NOTEBOOK: &str = r#"{
  "cells": [
    {"cell_type": "code", "id": "sum", "metadata": {}, "execution_count": null, "outputs": [], "source": ["1+1"]}
  ],
  "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
  "nbformat": 4,
  "nbformat_minor": 5
}"#;

/// Nothing is to be asked of the project's own servers.
const PAGE_CONFIG: &str = r#"{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}"#;

fn start(place: &Place) -> App {
    place.write("notebooks/sum.ipynb", NOTEBOOK);
    place.write("config/labconfig/page_config.json", PAGE_CONFIG);
    let mut command = Command::new(installed("venv/bin/jupyter-lab"));
    command.args(["--no-browser", "--allow-root", "--port=9001", "--ServerApp.port_retries=0"]);
    command.args(["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]);
    command.arg(format!("--ip={}", place.address()));
    command.arg(format!("--ServerApp.root_dir={}", place.path("notebooks").display()));
    let directories = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"];
    for (variable, name) in directories.iter().zip(["config", "data", "runtime", "ipython"]) {
        command.env(variable, place.path(name));
    }
    App::start(place, "jupyter", &mut command)
}

/// Opens the notebook, has its cell run, and sees the result.
fn calculates(url: &str) -> Browser {
    let mut browser = Browser::open(&format!("{url}/lab/tree/sum.ipynb"));
    let kernel = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel";
    browser.until(&format!("{kernel}?.connectionStatus === 'connected'"));
    browser.until("document.querySelector('.jp-Notebook .jp-CodeCell') !== null");
    browser.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')");
    browser.until("document.querySelector('.jp-OutputArea-output')?.innerText.trim() === '2'");
    browser
}

#[test]
fn a_kernel_of_jupyterlab_calculates() {
    let place = Place::new();
    let _app = start(&place);
    let servers = [("127.0.0.1:8888", place.at(9001))];
    let world = gateway(place, "jupyter.conf", &servers, "listen {address}:8080;");
    let browser = calculates(&format!("http://{}", world.at(8080)));
    let line = tunnel(&world, browser, "/api/kernels/");
    assert!(line.contains("/channels") && line.ends_with("HTTP/1.1 "), "{line}");
}

#[test]
fn a_kernel_of_jupyterlab_calculates_in_a_stream_of_http_2() {
    let place = Place::new();
    culvert_testkit::self_signed(&place, &["site"]);
    let _app = start(&place);
    let listen = "listen {address}:8443 ssl; http2 on;
        ssl_certificate {dir}/self-site.crt; ssl_certificate_key {dir}/self-site.key;";
    let servers = [("127.0.0.1:8888", place.at(9001))];
    let world = gateway(place, "jupyter.conf", &servers, listen);
    let browser = calculates(&format!("https://{}", world.at(8443)));
    let line = tunnel(&world, browser, "/api/kernels/");
    assert!(line.contains("/channels") && line.ends_with("HTTP/2.0 h2"), "{line}");
}
