#pragma once

#include "report/markup.h"
#include "report/report.h"

/// Each function writes the body of one section, below its headline, and expects that the section's data are not empty.
namespace rehyat::report {

void checks_section(Markup& page, const ReportData& data);
void losses_section(Markup& page, const ReportData& data);
void errors_section(Markup& page, const ReportData& data);
void charts_section(Markup& page, const ReportData& data);
void denoised_section(Markup& page, const ReportData& data);
void comparisons_section(Markup& page, const ReportData& data);
void costs_section(Markup& page, const ReportData& data);
void stages_section(Markup& page, const ReportData& data);
void commands_section(Markup& page, const ReportData& data);
void config_section(Markup& page, const ReportData& data);
void environment_section(Markup& page, const ReportData& data);

}  // namespace rehyat::report
